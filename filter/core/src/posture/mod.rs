//! A kubelet's posture: its settings, held against what a profile requires.
//!
//! ```text
//! /configz, or files and flags ──> Settings ──> Posture: rego/posture ──> Check, each ──> Verdict
//! ```
//!
//! What is required is Rego, and the same for the command and for the filter.

mod live;
mod settings;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::live::Live;
pub use self::live::{News, Watch};
pub use self::settings::{Constant, Found, Kind, Misspelt, Reading, SETTINGS, Setting, Settings};
use crate::policy::{Builtins, Limits, Policy, PolicyError, Source};

/// The requirements of one profile, compiled. It belongs to one thread.
#[derive(Debug)]
pub struct Posture {
    profile: Profile,
    policy: Policy,
}

/// What is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The CIS benchmark alone.
    Cis,
    /// Also what `envoy/kubelet/kubelet-owned.yaml` says, which replaces 4.2.2.
    Owned,
    /// Also what `envoy/kubelet/kubelet-hardened.yaml` says.
    Hardened,
}

/// What a requirement comes to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Check {
    /// The benchmark's number, such as `4.2.1`, or a name, such as `gate.address`.
    pub id: String,
    /// The settings that it looks at.
    pub settings: Vec<String>,
    /// Whether it is met.
    pub status: Status,
}

/// Whether a requirement is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It is.
    Pass,
    /// It isn't, and the benchmark scores it.
    Fail,
    /// It isn't, and the benchmark leaves it to judgement.
    Warn,
    /// What was read doesn't show it.
    Manual,
    /// What was read should show it, and can't be understood.
    Unknown,
}

/// What a policy reads as `data.posture`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// All in one word.
    pub status: Overall,
    /// The profile that was asked.
    pub profile: Profile,
    /// The identifiers of what failed.
    pub failed: Vec<String>,
    /// The identifiers of what is worth a warning.
    pub warned: Vec<String>,
}

/// A verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Nothing failed, and everything could be read.
    Pass,
    /// Something failed.
    Fail,
    /// There is no answer of the kubelet's, or not one that can be read.
    Unknown,
}

/// The Rego of this repository that says what is required, by its path in `rego`.
pub const MODULES: [(&str, &str); 4] = [
    ("posture/cis/cis.rego", include_str!("../../../../rego/posture/cis/cis.rego")),
    ("posture/gate/gate.rego", include_str!("../../../../rego/posture/gate/gate.rego")),
    ("posture/posture.rego", include_str!("../../../../rego/posture/posture.rego")),
    ("posture/probes/probes.rego", include_str!("../../../../rego/posture/probes/probes.rego")),
];

impl Posture {
    /// Compiles the requirements.
    ///
    /// # Errors
    /// Never in practice: a test compiles them.
    pub fn new(profile: Profile) -> Result<Self, PolicyError> {
        let mut modules = BTreeMap::new();
        for (name, rego) in MODULES {
            modules.insert(name.to_owned(), rego.to_owned());
        }
        let entrypoint = "data.posture.report".to_owned();
        let source = Source { modules, data: Map::new(), entrypoint };
        // It is asked once in a while, and about everything at once.
        let limits = Limits {
            instructions: NonZeroUsize::new(250_000).unwrap_or(Limits::INSTRUCTIONS),
            time: Duration::from_secs(2),
            ..Limits::default()
        };
        Ok(Self { profile, policy: Policy::compile(&source, Builtins::Standard, &limits)? })
    }

    /// What is required.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Holds settings against the requirements, in the order of their identifiers.
    ///
    /// # Errors
    /// When the evaluation fails, which it doesn't in any test.
    pub fn checks(&self, settings: &Settings) -> Result<Vec<Check>, String> {
        let answer = self.answer(settings)?;
        let json = answer.to_json_str().map_err(|error| error.to_string())?;
        let Report { mut checks } =
            serde_json::from_str(&json).map_err(|error| error.to_string())?;
        if checks.is_empty() {
            return Err("nothing is required".to_owned());
        }
        checks.sort_by(|one, other| order(&one.id).cmp(&order(&other.id)));
        Ok(checks)
    }

    /// The verdict on an answer to `/configz`.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn verdict(&self, configz: &[u8]) -> Result<Verdict, String> {
        let settings = settings::of_configz(configz)?;
        let answer = self.answer(&settings)?;
        let results = results(&answer).ok_or("nothing is required")?;
        Ok(Verdict::of(self.profile, results))
    }

    fn answer(&self, settings: &Settings) -> Result<regorus::Value, String> {
        let mut readings = Map::new();
        for (name, found) in settings {
            readings.insert(name.clone(), found.reading.input());
        }
        let mut input = Map::new();
        input.insert("profile".to_owned(), self.profile.as_str().into());
        input.insert("settings".to_owned(), Value::Object(readings));
        let input = regorus::Value::from(Value::Object(input));
        self.policy.answer(input).map_err(|outcome| format!("{outcome:?}"))
    }
}

/// Each requirement's identifier and status. Read by hand: what serde makes for it is kilobytes of the
/// module.
fn results(answer: &regorus::Value) -> Option<Vec<(String, Status)>> {
    let text = |check: &regorus::Value, key: &str| -> Option<String> {
        let field = check.as_object().ok()?.get(&regorus::Value::from(key))?;
        Some(field.as_string().ok()?.to_string())
    };
    let checks = answer.as_object().ok()?.get(&regorus::Value::from("checks"))?;
    let mut results = Vec::new();
    for check in checks.as_set().ok()?.iter() {
        let status = match text(check, "status")?.as_str() {
            "PASS" => Status::Pass,
            "FAIL" => Status::Fail,
            "WARN" => Status::Warn,
            "MANUAL" => Status::Manual,
            _ => Status::Unknown,
        };
        results.push((text(check, "id")?, status));
    }
    (!results.is_empty()).then_some(results)
}

/// The settings in an answer to `/configz`.
///
/// # Errors
/// When it isn't one.
pub fn settings_of_configz(body: &[u8]) -> Result<Settings, String> {
    settings::of_configz(body)
}

impl Profile {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cis => "cis",
            Self::Owned => "owned",
            Self::Hardened => "hardened",
        }
    }
}

impl Verdict {
    /// Of what all requirements came to.
    #[must_use]
    pub fn new(profile: Profile, checks: &[Check]) -> Self {
        Self::of(profile, checks.iter().map(|check| (check.id.clone(), check.status)).collect())
    }

    fn of(profile: Profile, results: Vec<(String, Status)>) -> Self {
        let mut verdict = Self { status: Overall::Pass, ..Self::unknown(profile) };
        let (mut is_empty, mut has_unknown) = (true, false);
        for (id, status) in results {
            is_empty = false;
            match status {
                Status::Pass | Status::Manual => {}
                Status::Fail => insert(&mut verdict.failed, id),
                Status::Warn => insert(&mut verdict.warned, id),
                Status::Unknown => has_unknown = true,
            }
        }
        if !verdict.failed.is_empty() {
            verdict.status = Overall::Fail;
        } else if is_empty || has_unknown {
            verdict.status = Overall::Unknown;
        }
        verdict
    }

    /// As a policy reads it.
    #[must_use]
    pub fn document(&self) -> Value {
        let status = match self.status {
            Overall::Pass => "pass",
            Overall::Fail => "fail",
            Overall::Unknown => "unknown",
        };
        let mut document = Map::new();
        document.insert("status".to_owned(), status.into());
        document.insert("profile".to_owned(), self.profile.as_str().into());
        for (name, ids) in [("failed", &self.failed), ("warned", &self.warned)] {
            let ids = ids.iter().map(|id| Value::String(id.clone())).collect();
            document.insert(name.to_owned(), Value::Array(ids));
        }
        Value::Object(document)
    }

    /// Of nothing.
    #[must_use]
    pub fn unknown(profile: Profile) -> Self {
        Self { status: Overall::Unknown, profile, failed: Vec::new(), warned: Vec::new() }
    }
}

/// Inserts in the order of the numbers. A sort would be kilobytes of the module for some ten elements.
fn insert(ids: &mut Vec<String>, id: String) {
    let at = ids.partition_point(|other| order(other) < order(&id));
    ids.insert(at, id);
}

/// What the Rego answers.
#[derive(Deserialize)]
struct Report {
    checks: Vec<Check>,
}

/// 4.2.10 comes after 4.2.9, and names after numbers.
fn order(id: &str) -> (bool, usize, &str) {
    let is_name = !id.starts_with(|c: char| c.is_ascii_digit());
    (is_name, if is_name { 0 } else { id.len() }, id)
}
