//! regorus' interpreter, which is slower than its register VM and closer to Rego.

use std::cell::RefCell;

use regorus::{Engine, LimitError, Value};

use super::error::PolicyError;
use super::outcome::Outcome;
use super::{Limits, Source, describe};
use crate::diagnostic::Diagnostic;

/// A policy as it is written, for the interpreter. It belongs to one thread.
#[derive(Debug)]
pub(super) struct Interpreter {
    engine: RefCell<Engine>,
    entrypoint: String,
}

impl Interpreter {
    /// Takes an engine that has the policy's modules, and gives it the data.
    pub(super) fn new(
        engine: Engine,
        source: &Source,
        limits: &Limits,
    ) -> Result<Self, PolicyError> {
        let mut engine = loaded(engine, source)?;
        if let Some(timer) = limits.timer() {
            engine.set_execution_timer_config(timer);
        }
        Ok(Self { engine: RefCell::new(engine), entrypoint: source.entrypoint.clone() })
    }

    /// Makes a builtin's error one of the evaluation.
    pub(super) fn strict(self) -> Self {
        self.engine.borrow_mut().set_strict_builtin_errors(true);
        self
    }

    /// Replaces the data; `None` if that can't be done.
    pub(super) fn set_data(&self, data: Value) -> Option<()> {
        let mut engine = self.engine.try_borrow_mut().ok()?;
        engine.clear_data();
        engine.add_data(data).ok()
    }

    /// The entry point's value.
    ///
    /// # Errors
    /// An outcome that does not allow: the evaluation failed, or took too long.
    pub(super) fn run(&self, input: Value) -> Result<Value, Outcome> {
        let mut engine = self
            .engine
            .try_borrow_mut()
            .map_err(|_| Outcome::Failed("the policy is being evaluated already".to_owned()))?;
        engine.set_input(input);
        engine.eval_rule(self.entrypoint.clone()).map_err(|error| {
            match error.downcast_ref::<LimitError>() {
                Some(_) => Outcome::Budget,
                None => Outcome::Failed(describe(&error)),
            }
        })
    }
}

/// An engine that has the policy's modules, with the data.
pub(super) fn loaded(mut engine: Engine, source: &Source) -> Result<Engine, PolicyError> {
    let data = Value::from(serde_json::Value::Object(source.data.clone()));
    engine
        .add_data(data)
        .map_err(|error| PolicyError::Compile(Diagnostic::new(describe(&error))))?;
    // As in OPA, a builtin's error is undefined.
    engine.set_strict_builtin_errors(false);
    Ok(engine)
}
