//! Why a policy answers as it does: which definitions were tried, and where each of them failed.
//!
//! regorus keeps no such account. So each body is put to its interpreter again, as far as its first
//! expression, its second, and so on, as rules of the policy's own package: the first one without a
//! solution is where the body failed. What the expression is made of is asked in the same way. Nothing
//! here decides; a body that can't be taken apart like that is reported as unknown.

mod literal;
mod probe;
mod seen;
mod trace;

use regorus::Value;
use serde::Serialize;

use self::trace::Tracer;
use super::rules::Rules;
use super::{Limits, PolicyError, Source, interpreter, parse};
use crate::diagnostic::Place;

/// Why a rule has its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its path, such as `data.kubelet.authz.decision`.
    pub rule: String,
    /// Its value as Rego writes it, or `undefined`.
    pub value: String,
    /// The default that gave the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Place>,
    /// Its definitions. Those that could only have denied are left out unless they decided.
    pub attempts: Vec<Attempt>,
    /// Whether the same is explained elsewhere already, so that the definitions are left out here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// One body of a definition; each `else` has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Where it begins.
    pub place: Place,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Tried,
}

/// What came of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Tried {
    /// All of it is true.
    Holds {
        /// The rules that it uses.
        uses: Vec<Explanation>,
    },
    /// Some expression isn't true, whatever the ones before it bind.
    Fails {
        /// Where it is.
        at: Place,
        /// Its text.
        expression: String,
        /// What it is made of.
        seen: Vec<Seen>,
        /// The rules in it that are behind the failure.
        uses: Vec<Explanation>,
    },
    /// The body before this `else` holds.
    NotTried,
    /// It can't be told.
    Unknown {
        /// Why.
        why: String,
    },
}

/// A part of an expression, and its values: one for each solution of the expressions before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its text.
    pub expression: String,
    /// Its values as Rego writes them; none if it is undefined.
    pub values: Vec<String>,
}

impl Explanation {
    /// Explains the entry point's value.
    ///
    /// # Errors
    /// When the policy isn't one that compiles.
    pub(crate) fn new(source: &Source, limits: &Limits, input: Value) -> Result<Self, PolicyError> {
        let mut engine = parse(source, limits)?;
        let modules = engine.get_modules().clone();
        let rules = Rules::collect(modules.iter().map(AsRef::as_ref))?;
        let engine = interpreter::loaded(engine, source)?;
        let path: Vec<_> = source.entrypoint.split('.').skip(1).map(str::to_owned).collect();
        let mut tracer = Tracer::new(&rules, &modules, engine, input);
        Ok(tracer.entrypoint(&path))
    }
}
