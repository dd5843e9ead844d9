//! What the policy allows: what was seen, and on demand what it stands for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;
use serde::Serialize;

use super::{
    asked::{Asked, Caller, Details},
    seen::{Evidence, Seen},
};

/// Requests that are equal but for the pod.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) caller: Caller,
    pub(super) endpoint: String,
    pub(super) method: String,
    pub(super) place: Option<Places>,
    pub(super) details: Details,
    pub(super) evidence: Evidence,
}

/// Some pods of a namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) namespace: String,
    pub(super) container: Option<String>,
    pub(super) pods: BTreeSet<String>,
    /// Each ends with a dash.
    pub(super) prefixes: BTreeSet<String>,
}

/// Something that is, or could be, allowed without having been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Generalisation {
    pub(super) what: String,
    pub(super) why: String,
    /// What nobody has seen.
    pub(super) also_allows: String,
}

/// All grants, and what was, could and could not be generalised.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) grants: Vec<Grant>,
    pub(super) made: BTreeSet<Generalisation>,
    pub(super) proposed: BTreeSet<Generalisation>,
}

/// Random parts of pods' names have no vowels, so that they form no words
/// (`k8s.io/apimachinery/pkg/util/rand`).
static WORKLOADS: LazyLock<[(Option<Regex>, &str); 3]> = LazyLock::new(|| {
    let random = "[bcdfghjklmnpqrstvwxz2456789]";
    [
        (Regex::new(&format!("^(.+-){random}{{6,10}}-{random}{{5}}$")).ok(), "a Deployment"),
        (Regex::new(&format!("^(.+-){random}{{5}}$")).ok(), "a DaemonSet or a Job"),
        (Regex::new("^(.+-)[0-9]+$").ok(), "a StatefulSet"),
    ]
});

impl Grants {
    /// Makes grants of what was seen; with `pods`, also for the other pods of each workload.
    pub(super) fn new(seen: &Seen, pods: bool) -> Self {
        let mut merged: BTreeMap<Asked, Grant> = BTreeMap::new();
        for (asked, evidence) in &seen.learned {
            let mut like = asked.clone();
            if let Some(place) = &mut like.place {
                place.pod.clear();
            }
            let grant = merged.entry(like).or_insert_with(|| Grant::like(asked));
            grant.evidence.merge(evidence);
            if let (Some(places), Some(place)) = (&mut grant.place, &asked.place) {
                places.pods.insert(place.pod.clone());
            }
        }
        let mut grants = Self { grants: merged.into_values().collect(), ..Self::default() };
        grants.workloads(seen, pods);
        grants.streams();
        grants
    }

    /// Whether a request is allowed, by what was seen and by what is generalised.
    pub(super) fn cover(&self, asked: &Asked) -> bool {
        self.grants.iter().any(|grant| grant.covers(asked))
    }

    fn workloads(&mut self, seen: &Seen, is_wanted: bool) {
        let Self { grants, made, proposed } = self;
        for grant in grants {
            let Some(places) = &grant.place else { continue };
            let mut workloads: BTreeMap<String, (&str, BTreeSet<&str>)> = BTreeMap::new();
            for pod in &places.pods {
                if let Some((prefix, kind)) = workload(pod) {
                    let (_, pods) = workloads.entry(prefix).or_insert((kind, BTreeSet::new()));
                    pods.insert(pod);
                }
            }
            let mut prefixes = BTreeSet::new();
            for (prefix, (kind, pods)) in workloads {
                let pods = pods.into_iter().collect::<Vec<_>>().join(", ");
                let namespace = &places.namespace;
                let mut wider = grant.clone();
                if let Some(places) = &mut wider.place {
                    places.prefixes.insert(prefix.clone());
                }
                let generalisation = Generalisation {
                    what: format!("{}: {pods} to {prefix}*", grant.what()),
                    why: format!("the names look like pods of {kind}"),
                    also_allows: format!(
                        "every pod in {namespace} whose name begins with `{prefix}`; the control plane \
                         gives pods their names"
                    ),
                };
                let is_denied =
                    seen.denied.iter().any(|denied| wider.covers(denied) && !grant.covers(denied));
                if is_denied {
                    proposed.insert(Generalisation {
                        why: format!(
                            "{}, but the log has a denial of one of them",
                            generalisation.why
                        ),
                        ..generalisation
                    });
                } else if is_wanted {
                    made.insert(generalisation);
                    prefixes.insert(prefix);
                } else {
                    proposed.insert(generalisation);
                }
            }
            if let Some(places) = &mut grant.place {
                places
                    .pods
                    .retain(|pod| !prefixes.iter().any(|prefix| pod.starts_with(prefix.as_str())));
                places.prefixes = prefixes;
            }
        }
    }

    /// What can't be seen of a request can't be held to what was seen.
    fn streams(&mut self) {
        for grant in &self.grants {
            let wide = |why: &str, also_allows: &str| Generalisation {
                what: grant.what(),
                why: why.to_owned(),
                also_allows: also_allows.to_owned(),
            };
            match grant.endpoint.as_str() {
                "portForward"
                    if grant
                        .details
                        .0
                        .values()
                        .any(|it| it.contains("\"ports_in_stream\":true")) =>
                {
                    self.made.insert(wide(
                        "the ports are named inside the stream, where no policy on requests sees them",
                        "all ports of the pod",
                    ));
                }
                "containerLogs" if grant.details.0.contains_key("logs") => {
                    self.made.insert(wide(
                        "asked for by `--generalize log-lines`",
                        "any lines of the log, by number, age, time or stream",
                    ));
                }
                "containerLogs"
                    if grant.details.0.get("query").is_some_and(|query| query != "{}") =>
                {
                    self.proposed.insert(Generalisation {
                        what: grant.what(),
                        why: "another number or time is another request; `--generalize log-lines`"
                            .to_owned(),
                        also_allows: "any lines of the log, by number, age, time or stream"
                            .to_owned(),
                    });
                }
                _ => {}
            }
        }
    }
}

impl Grant {
    fn like(asked: &Asked) -> Self {
        let Asked { caller, endpoint, method, place, details } = asked.clone();
        let place = place.map(|place| Places {
            namespace: place.namespace,
            container: place.container,
            ..Places::default()
        });
        Self { caller, endpoint, method, place, details, evidence: Evidence::default() }
    }

    fn covers(&self, asked: &Asked) -> bool {
        let is_there = match (&self.place, &asked.place) {
            (None, None) => true,
            (Some(places), Some(place)) => {
                places.namespace == place.namespace
                    && places.container == place.container
                    && (places.pods.contains(&place.pod)
                        || places.prefixes.iter().any(|prefix| place.pod.starts_with(prefix)))
            }
            _ => false,
        };
        is_there
            && self.caller == asked.caller
            && self.endpoint == asked.endpoint
            && self.method == asked.method
            && self.details == asked.details
    }

    /// What it allows, for a person.
    pub(super) fn what(&self) -> String {
        let Self { endpoint, method, place, details, .. } = self;
        let pods = place.as_ref().map(Places::shown).unwrap_or_default();
        let container = place.as_ref().and_then(|place| place.container.as_deref());
        let place = place.as_ref().map(|place| (place.namespace.as_str(), pods.as_str()));
        details.what(endpoint, method, place, container)
    }
}

impl Places {
    fn shown(&self) -> String {
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}*"));
        let pods: Vec<_> = self.pods.iter().cloned().chain(prefixes).collect();
        match pods.as_slice() {
            [pod] => pod.clone(),
            pods => format!("{{{}}}", pods.join(",")),
        }
    }
}

/// The beginning of the names of a workload's pods, and what it probably is.
fn workload(pod: &str) -> Option<(String, &'static str)> {
    WORKLOADS.iter().find_map(|(pattern, kind)| {
        let prefix = pattern.as_ref()?.captures(pod)?.get(1)?;
        Some((prefix.as_str().to_owned(), *kind))
    })
}
