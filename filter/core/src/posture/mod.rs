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
use serde_json::{Map, Value, json};

pub(crate) use self::live::Live;
pub use self::live::{News, Watch};
pub use self::settings::{Constant, Found, Kind, Misspelt, Reading, SETTINGS, Setting, Settings};
use crate::policy::{Builtins, Limits, Policy, PolicyError, Source, value};

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
    /// What is so if it is met.
    pub title: String,
    /// The settings that it looks at.
    pub settings: Vec<String>,
    /// What they should be, for people.
    pub wanted: String,
    /// How to get there.
    pub fix: String,
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
        let modules = MODULES.map(|(name, rego)| (name.to_owned(), rego.to_owned()));
        let source = Source {
            modules: BTreeMap::from(modules),
            data: Map::new(),
            entrypoint: "data.posture.report".to_owned(),
        };
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
        let settings: Map<_, _> =
            settings.iter().map(|(name, found)| (name.clone(), found.reading.input())).collect();
        let input = json!({"profile": self.profile, "settings": settings});
        let input = value::to_value(&input).map_err(|error| error.to_string())?;
        let answer = self.policy.answer(input).map_err(|outcome| format!("{outcome:?}"))?;
        let json = answer.to_json_str().map_err(|error| error.to_string())?;
        let Report { mut checks } =
            serde_json::from_str(&json).map_err(|error| error.to_string())?;
        if checks.is_empty() {
            return Err("nothing is required".to_owned());
        }
        checks.sort_by_cached_key(|check| order(&check.id));
        Ok(checks)
    }

    /// The verdict on an answer to `/configz`.
    pub fn verdict(&self, configz: &[u8]) -> Result<Verdict, String> {
        let settings = settings::of_configz(configz)?;
        Ok(Verdict::new(self.profile, &self.checks(&settings)?))
    }
}

/// The settings in an answer to `/configz`.
///
/// # Errors
/// When it isn't one.
pub fn settings_of_configz(body: &[u8]) -> Result<Settings, String> {
    settings::of_configz(body)
}

impl Verdict {
    /// Of what all requirements came to.
    #[must_use]
    pub fn new(profile: Profile, checks: &[Check]) -> Self {
        let ids = |status| {
            let found = checks.iter().filter(move |check| check.status == status);
            found.map(|check| check.id.clone()).collect::<Vec<_>>()
        };
        let failed = ids(Status::Fail);
        let status = if !failed.is_empty() {
            Overall::Fail
        } else if checks.is_empty() || !ids(Status::Unknown).is_empty() {
            Overall::Unknown
        } else {
            Overall::Pass
        };
        Self { status, profile, failed, warned: ids(Status::Warn) }
    }

    /// As a policy reads it.
    #[must_use]
    pub fn document(&self) -> Value {
        json!(self)
    }

    /// Of nothing.
    #[must_use]
    pub fn unknown(profile: Profile) -> Self {
        Self { status: Overall::Unknown, profile, failed: Vec::new(), warned: Vec::new() }
    }
}

/// What the Rego answers.
#[derive(Deserialize)]
struct Report {
    checks: Vec<Check>,
}

/// 4.2.10 comes after 4.2.9, and names after numbers.
fn order(id: &str) -> Vec<(u32, String)> {
    id.split('.').map(|part| (part.parse().unwrap_or(u32::MAX), part.to_owned())).collect()
}
