//! Rego policies: checked and compiled once, evaluated for every request.
//!
//! The register VM of regorus evaluates a decision in a few microseconds, a tenth of what its
//! interpreter takes. It is also the younger of the two: where a policy fails (two values for one
//! rule, a builtin's error, an undefined value in an assignment), OPA stops and the register VM
//! goes on, with *undefined* or with the last of several values. Undefined is safe as a decision
//! and unsafe as a helper's value, because `not` of it holds. Therefore:
//!
//! - what can have two values is refused ([`conflicts`]);
//! - what the register VM evaluates otherwise than Rego is refused ([`unsupported`],
//!   [`functions`], [`references`]) or rewritten to what it evaluates right ([`hardened`]);
//! - what the register VM allows is put to the interpreter too, with the policy as it is written
//!   ([`interpreter`]): only what both allow is allowed, should there be a fault that nobody has
//!   found. Denials, the many, cost a few microseconds still. The shipped policy is spared this: a
//!   test puts it to both, with more requests than anybody will send ([`shipped`]);
//! - what is left is what OPA has too: a builtin's error within a helper makes the helper
//!   undefined. A policy must not negate a helper that can fail; grants are a set, and only grow.
//!
//! Whatever goes wrong in the entry point itself is an outcome that does not allow.

mod bindings;
mod conflicts;
mod data;
mod entrypoint;
mod error;
#[cfg(feature = "explain")]
mod explain;
mod functions;
mod hardened;
mod interpreter;
mod kubelet_tls_proxy;
mod lean;
mod limits;
#[cfg(feature = "explain")]
mod mentions;
mod nesting;
mod outcome;
mod part;
mod posture;
mod references;
mod rules;
mod shipped;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod unsupported;
pub mod value;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::num::{NonZeroU32, NonZeroUsize};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::{RegoVM, VmError};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, PolicyLengthConfig, Rc, Value};

pub use self::error::PolicyError;
#[cfg(feature = "explain")]
pub use self::explain::{Attempt, Explanation, Seen, Tried};
use self::interpreter::Interpreter;
pub use self::kubelet_tls_proxy::Adapter;
pub use self::limits::Limits;
#[cfg(feature = "explain")]
pub use self::mentions::Mentions;
pub use self::outcome::{Outcome, RuleId, Verdict};
pub use self::part::Part;
use self::rules::Rules;
pub use self::source::Source;
use crate::diagnostic::{Diagnostic, Place};

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
    interpreter: Interpreter,
    data: Value,
    /// Whether the verdict on the kubelet could not be replaced.
    is_stale: Cell<bool>,
    limits: Limits,
    digest: String,
    input: Part,
    is_pure: bool,
    /// Whether both of regorus' evaluators are known to agree on it.
    is_shipped: bool,
}

impl Policy {
    /// Checks and compiles a policy; after this only its evaluation can go wrong.
    ///
    /// # Errors
    /// Everything that is wrong with the policy's text or data, one error at a time.
    pub fn compile(
        source: &Source,
        builtins: Builtins,
        limits: &Limits,
    ) -> Result<Self, PolicyError> {
        Self::compile_with(source, builtins, limits, None)
    }

    /// The same for a policy that may read the verdict on the kubelet as `data.posture`. It begins with
    /// this one, goes on with those of [`Self::set_posture`], and none is part of the digest.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_with(
        source: &Source,
        builtins: Builtins,
        limits: &Limits,
        posture: Option<&serde_json::Value>,
    ) -> Result<Self, PolicyError> {
        let mut engine = parse(source, limits)?;
        let modules = engine.get_modules().clone();
        let rules = Rules::collect(modules.iter().map(AsRef::as_ref))?;
        unsupported::check(&rules)?;
        functions::check(&rules, builtins)?;
        references::check(&rules)?;
        conflicts::check(&rules)?;
        data::check(&rules, &source.data)?;
        posture::check(&rules, &source.data, posture.is_some())?;
        entrypoint::check(&rules, &source.entrypoint)?;

        let original = engine.clone();
        let hardened = hardened::texts(&rules, modules.iter().map(AsRef::as_ref), &source.data);
        let mut vm = match load(rewritten(hardened)?, source) {
            Ok(vm) => vm,
            // The author knows the original: its error names the right column.
            Err(error) => return Err(load(engine, source).err().unwrap_or(error)),
        };
        vm.set_max_instructions(limits.instructions.get());
        vm.set_execution_timer_config(limits.timer());
        let policy = Self {
            vm: RefCell::new(vm),
            interpreter: Interpreter::new(original, source, limits)?,
            data: Value::from(serde_json::Value::Object(source.data.clone())),
            is_stale: Cell::new(false),
            limits: limits.clone(),
            is_shipped: shipped::is(source),
            digest: source.digest(),
            input: Part::read_by(&rules),
            is_pure: references::builtin_calls(&rules)
                .iter()
                .all(|name| !functions::IMPURE.contains(&name.as_str())),
        };
        if let Some(document) = posture {
            policy.set_posture(document);
        }
        Ok(policy)
    }

    /// Replaces `data.posture`. Should that fail, which it can't while nothing is evaluated, every later
    /// evaluation does.
    pub fn set_posture(&self, document: &serde_json::Value) {
        self.is_stale.set(self.try_set_posture(document).is_none());
    }

    fn try_set_posture(&self, document: &serde_json::Value) -> Option<()> {
        let document = Value::from(document.clone());
        let mut data = self.data.clone();
        data.as_object_mut().ok()?.insert(posture::POSTURE.into(), document);
        self.interpreter.set_data(data.clone())?;
        self.vm.try_borrow_mut().ok()?.set_data(data).ok()
    }

    /// The SHA-256 of the policy, as [`Source::digest`] has it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What the policy can read of its input. The rest makes no difference to it.
    #[must_use]
    pub fn input(&self) -> &Part {
        &self.input
    }

    /// Whether equal inputs always have equal outcomes, so that an outcome may be remembered.
    /// Not so with a clock or dice in the policy.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.is_pure
    }

    /// Evaluates the entry point. Total: every failure is an outcome that does not allow.
    pub fn evaluate(&self, input: Value) -> Outcome {
        let outcome = match self.run(input.clone()) {
            Ok(value) => Outcome::read(&value),
            Err(failure) => failure,
        };
        match outcome {
            Outcome::Allowed(verdict) if !self.is_shipped => self.confirm(verdict, input),
            other => other,
        }
    }

    /// The entry point's value, for decisions that are no yes or no. Both of regorus' machines have to
    /// have it.
    ///
    /// # Errors
    /// An outcome that decides nothing: the evaluation failed, took too long, or has two values.
    pub fn answer(&self, input: Value) -> Result<Value, Outcome> {
        let value = self.run(input.clone())?;
        let confirmed = self.interpreter.run(input)?;
        if value == confirmed {
            Ok(value)
        } else {
            Err(Outcome::Failed(
                "regorus' interpreter does not confirm its register VM's decision".to_owned(),
            ))
        }
    }

    /// The entry point's value on regorus' register VM and on its interpreter, for a tool that compares
    /// them. An undefined value is one, too.
    ///
    /// # Errors
    /// An outcome that decides nothing, for each of them.
    pub fn answers(&self, input: Value) -> [Result<Value, Outcome>; 2] {
        [self.run(input.clone()), self.interpreter.run(input)]
    }

    /// Allows only if the interpreter does.
    fn confirm(&self, verdict: Verdict, input: Value) -> Outcome {
        match self.interpreter.run(input).map(|value| Outcome::read(&value)) {
            Ok(Outcome::Allowed(_)) => Outcome::Allowed(verdict),
            Err(Outcome::Budget) => Outcome::Budget,
            Ok(other) | Err(other) => Outcome::Failed(format!(
                "regorus' interpreter does not confirm what its register VM allows: {other:?}"
            )),
        }
    }

    /// The instructions that an evaluation takes, or `None` if they are more than the limit.
    ///
    /// Evaluates the input several times, without a limit of time: this is for a tool.
    #[must_use]
    pub fn instructions(&self, input: &Value) -> Option<usize> {
        let limit = self.limits.instructions.get();
        // The register VM doesn't tell; it is the smallest limit that suffices.
        let suffices = |limit| {
            self.set_limits(limit, None);
            !matches!(self.run(input.clone()), Err(Outcome::Budget))
        };
        let found = suffices(limit).then(|| {
            let (mut few, mut enough) = (0, limit);
            while few + 1 < enough {
                let middle = few + (enough - few) / 2;
                *(if suffices(middle) { &mut enough } else { &mut few }) = middle;
            }
            enough
        });
        self.set_limits(limit, self.limits.timer());
        found
    }

    fn set_limits(&self, instructions: usize, timer: Option<ExecutionTimerConfig>) {
        if let Ok(mut vm) = self.vm.try_borrow_mut() {
            vm.set_max_instructions(instructions);
            vm.set_execution_timer_config(timer);
        }
    }

    fn run(&self, input: Value) -> Result<Value, Outcome> {
        if self.is_stale.get() {
            return Err(Outcome::Failed("the verdict on the kubelet is an old one".to_owned()));
        }
        let mut vm = self
            .vm
            .try_borrow_mut()
            .map_err(|_| Outcome::Failed("the policy is being evaluated already".to_owned()))?;
        vm.set_input(input);
        vm.execute_entry_point_by_index(0).map_err(|error| match error {
            VmError::InstructionLimitExceeded { .. }
            | VmError::TimeLimitExceeded { .. }
            | VmError::MemoryLimitExceeded { .. }
            | VmError::MemoryBudgetExceeded { .. }
            | VmError::RegexSizeLimitExceeded { .. } => Outcome::Budget,
            error => Outcome::Failed(describe(&error)),
        })
    }
}

/// An engine with the modules of the policy as they are written.
fn parse(source: &Source, limits: &Limits) -> Result<Engine, PolicyError> {
    if source.policy_modules().next().is_none() {
        return Err(PolicyError::Empty);
    }
    let mut engine = Engine::new();
    engine.set_policy_length_config(limits.lengths());
    for (name, text) in source.policy_modules() {
        nesting::check(name, text, limits)?;
        engine
            .add_policy(name.clone(), text.clone())
            .map_err(|error| PolicyError::Syntax(diagnostic(&error, &source.modules)))?;
    }
    Ok(engine)
}

/// An engine with the hardened modules, which may have longer lines.
fn rewritten(modules: Vec<(String, String)>) -> Result<Engine, PolicyError> {
    let mut engine = Engine::new();
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::MAX,
        max_file_bytes: NonZeroUsize::MAX,
        max_lines: NonZeroUsize::MAX,
    });
    for (name, text) in modules {
        engine
            .add_policy(name, text)
            .map_err(|error| PolicyError::Compile(Diagnostic::new(describe(&error))))?;
    }
    Ok(engine)
}

/// A register VM that has the policy and its data.
fn load(mut engine: Engine, source: &Source) -> Result<RegoVM, PolicyError> {
    let refused = |error: &dyn Display| PolicyError::Compile(diagnostic(error, &source.modules));
    let data = Value::from(serde_json::Value::Object(source.data.clone()));
    engine.add_data(data.clone()).map_err(|e| refused(&e))?;
    let entrypoint: Rc<str> = source.entrypoint.as_str().into();
    let compiled = engine.compile_with_entrypoint(&entrypoint).map_err(|e| refused(&e))?;
    let program =
        Compiler::compile_from_policy(&compiled, &[&entrypoint]).map_err(|e| refused(&e))?;
    let mut vm = RegoVM::new_with_policy(compiled);
    // A builtin's error then ends the body it is in, also under `not`.
    vm.set_strict_builtin_errors(true);
    vm.load_program(lean::lean(program));
    vm.set_data(data).map_err(|e| refused(&e))?;
    Ok(vm)
}

/// regorus' message about one of these modules, in the form of all others.
#[must_use]
pub fn diagnostic(error: &dyn Display, modules: &BTreeMap<String, String>) -> Diagnostic {
    let text = describe(error);
    // Errors nest; the last one is the cause, and its place stands before it.
    let (mut message, mut at) = (text.trim(), None);
    let mut location = None;
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("--> ") {
            location = Some(found);
        } else if let Some((_, cause)) = line.rsplit_once("error: ")
            && !cause.trim().is_empty()
        {
            (message, at) = (cause.trim_end_matches('.'), location);
        }
    }
    let mut diagnostic = Diagnostic::new(message);
    diagnostic.places = at.and_then(|at| place(at, modules)).into_iter().collect();
    let limits = [
        ("column width", "policy_columns"),
        ("file size", "policy_bytes"),
        ("line count", "policy_lines"),
    ];
    match limits.iter().find(|(what, _)| message.contains(what)) {
        Some((_, limit)) => {
            diagnostic.help(format!("put long lists into data, or raise `limits.{limit}`"))
        }
        None => diagnostic,
    }
}

/// The place of `file:line:column` as regorus counts: from 1, a tab as four columns.
fn place(location: &str, modules: &BTreeMap<String, String>) -> Option<Place> {
    let mut parts = location.rsplitn(3, ':');
    let column: usize = parts.next()?.parse().ok()?;
    let line: usize = parts.next()?.parse().ok()?;
    let file = parts.next()?;
    let text = modules.get(file)?;
    let mut at = 1;
    let before = text.lines().nth(line.checked_sub(1)?)?.chars().take_while(|c| {
        let is_before = at < column;
        at += if *c == '\t' { 4 } else { 1 };
        is_before
    });
    let bytes: usize = before.map(char::len_utf8).sum();
    Some(Place::at_line(file, text, line, bytes + 1))
}

/// An error as text. `to_string` panics if a value in it has no JSON, such as an infinite number.
fn describe(error: &dyn Display) -> String {
    let mut text = String::new();
    match write!(text, "{error}") {
        Ok(()) => text,
        Err(_) => text + "…",
    }
}
