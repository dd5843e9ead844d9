//! Rego policies: compiled once, evaluated for every request.

mod error;
mod limits;
mod outcome;
mod source;
pub mod value;

use std::cell::RefCell;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::{RegoVM, VmError};
use regorus::{Engine, Rc, Value};

pub use self::error::PolicyError;
pub use self::limits::Limits;
pub use self::outcome::{Outcome, RuleId, Verdict};
pub use self::source::Source;
use crate::diagnostic::Diagnostic;

/// The builtin functions of the module that a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtins {
    /// `gatelet.wasm`: regorus' own, `time` and `net`.
    Standard,
    /// `gatelet-full.wasm`: also `regex`, `glob`, `semver` and `base64`.
    Full,
}

/// A compiled policy. It belongs to one thread.
#[derive(Debug)]
pub struct Policy {
    vm: RefCell<RegoVM>,
    digest: String,
}

impl Policy {
    /// Checks and compiles a policy; after this only its evaluation can go wrong.
    ///
    /// # Errors
    /// Everything that is wrong with the policy's text or data.
    pub fn compile(
        source: &Source,
        _builtins: Builtins,
        limits: &Limits,
    ) -> Result<Self, PolicyError> {
        let rego =
            |error: &dyn std::fmt::Display| PolicyError::Rego(Diagnostic::new(error.to_string()));
        if source.policy_modules().next().is_none() {
            return Err(PolicyError::Empty);
        }
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.set_policy_length_config(limits.lengths());
        for (name, text) in source.policy_modules() {
            engine
                .add_policy(name.clone(), text.clone())
                .map_err(|e| rego(&e))?;
        }
        let data = Value::from(serde_json::Value::Object(source.data.clone()));
        engine.add_data(data.clone()).map_err(|e| rego(&e))?;
        let entrypoint: Rc<str> = source.entrypoint.as_str().into();
        let compiled = engine
            .compile_with_entrypoint(&entrypoint)
            .map_err(|e| rego(&e))?;
        let program =
            Compiler::compile_from_policy(&compiled, &[&entrypoint]).map_err(|e| rego(&e))?;
        let mut vm = RegoVM::new_with_policy(compiled);
        vm.set_max_instructions(limits.instructions.get());
        vm.set_execution_timer_config(limits.timer());
        vm.set_strict_builtin_errors(true);
        vm.load_program(program);
        vm.set_data(data).map_err(|e| rego(&e))?;
        Ok(Self {
            vm: RefCell::new(vm),
            digest: source.digest(),
        })
    }

    /// The SHA-256 of the policy, as [`Source::digest`] has it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Evaluates the entry point. Total: every failure is an outcome that does not allow.
    pub fn evaluate(&self, input: Value) -> Outcome {
        match self.run(input) {
            Ok(value) => Outcome::read(&value),
            Err(failure) => failure,
        }
    }

    fn run(&self, input: Value) -> Result<Value, Outcome> {
        let mut vm = self
            .vm
            .try_borrow_mut()
            .map_err(|_| Outcome::Failed("the policy is being evaluated already".to_owned()))?;
        vm.set_input(input);
        vm.execute_entry_point_by_index(0)
            .map_err(|error| match error {
                VmError::InstructionLimitExceeded { .. }
                | VmError::TimeLimitExceeded { .. }
                | VmError::MemoryLimitExceeded { .. }
                | VmError::MemoryBudgetExceeded { .. }
                | VmError::RegexSizeLimitExceeded { .. } => Outcome::Budget,
                error => Outcome::Failed(error.to_string()),
            })
    }
}
