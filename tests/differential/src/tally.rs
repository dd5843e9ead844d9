//! What a run has seen, so that it can't pass by seeing nothing.

use std::{collections::BTreeMap, fmt};

use gatelet_core::kubelet::Refusal;

use crate::{kubelet::Answer, reading::Reading};

/// Counts of requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// By endpoint, what was handed on.
    endpoints: BTreeMap<String, usize>,
    malformed: usize,
    unknown: usize,
    method: usize,
    /// Of what was refused, what a handler of the kubelet would have had.
    missed: usize,
}

/// The endpoints, each of which must turn up.
const ENDPOINTS: &[&str] = &[
    "exec",
    "attach",
    "run",
    "portForward",
    "containerLogs",
    "checkpoint",
    "pods",
    "runningPods",
    "nodeLogs",
    "metrics",
    "stats",
    "healthz",
    "configz",
    "flagz",
    "statusz",
    "debug",
];

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, ours: &Reading, kubelet: &Answer) {
        let count = match ours {
            Reading::HandedOn { document, .. } => {
                let name = document.get("endpoint").and_then(serde_json::Value::as_str);
                self.endpoints.entry(name.unwrap_or_default().to_owned()).or_default()
            }
            Reading::Refused(refusal) => {
                self.missed += usize::from(kubelet.reading.is_some());
                match refusal {
                    Refusal::Malformed(_) => &mut self.malformed,
                    Refusal::UnknownEndpoint => &mut self.unknown,
                    Refusal::Method => &mut self.method,
                }
            }
        };
        *count += 1;
    }

    /// How many were handed on.
    #[must_use]
    pub fn handed_on(&self) -> usize {
        self.endpoints.values().sum()
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> usize {
        self.handed_on() + self.malformed + self.unknown + self.method
    }

    /// Why nothing follows from the counts: fewer than a third handed on, or an endpoint with fewer
    /// than one in a thousand.
    #[must_use]
    pub fn is_vacuous(&self) -> Option<String> {
        let total = self.total();
        let rare =
            |name: &&&str| self.endpoints.get(**name).is_none_or(|count| count * 1000 < total);
        if self.handed_on() * 3 < total {
            Some("too few requests were handed on".to_owned())
        } else {
            ENDPOINTS.iter().find(rare).map(|name| format!("too few requests of `{name}`"))
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoints, malformed, unknown, method, missed } = self;
        let refused = malformed + unknown + method;
        writeln!(f, "handed on  {:>9}, each read alike by both muxes:", self.handed_on())?;
        for (name, count) in endpoints {
            writeln!(f, "  {name:<15}{count:>9}")?;
        }
        writeln!(f, "refused    {refused:>9}, {missed} of them with a reading at the kubelet:")?;
        for (name, count) in
            [("malformed", malformed), ("no endpoint", unknown), ("method", method)]
        {
            writeln!(f, "  {name:<15}{count:>9}")?;
        }
        Ok(())
    }
}
