//! One request on its way to a decision.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    input::Facts,
    object::{Metadata, Object},
    queue::Recorded,
    ruling::Ruling,
};

#[derive(Debug)]
pub(super) struct Work {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) begun: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// The object is asked for.
    Reading,
    /// Facts are asked for.
    Gathering(Box<Gathering>),
    /// The decision is being put on record.
    Recording(Box<Subject>, Ruling),
    /// The decision is being written to the API server.
    Writing(Box<Subject>, Ruling),
}

impl Subject {
    /// The ruling on this version of the object.
    pub(super) fn recorded(&self, ruling: &Ruling) -> Recorded {
        let Metadata { uid, resource_version, .. } = &self.object.metadata;
        Recorded {
            uid: uid.clone(),
            resource_version: resource_version.clone(),
            ruling: ruling.clone(),
        }
    }
}

impl Work {
    pub(super) fn waits_for_kubelet(&self) -> bool {
        matches!(&self.stage, Stage::Gathering(gathering) if gathering.waits_for_kubelet)
    }
}

/// What is decided on.
#[derive(Debug)]
pub(super) struct Subject {
    /// As it is understood.
    pub(super) object: Object,
    /// As it came, with all that isn't understood.
    pub(super) whole: Value,
}

/// A request whose facts are being found out.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) subject: Box<Subject>,
    pub(super) facts: Facts,
    /// How many answers are missing.
    pub(super) outstanding: usize,
    /// Whether one of them is the kubelet's.
    pub(super) waits_for_kubelet: bool,
}

/// The name of the node that a common name gives, if it is one that Kubernetes could have.
pub(super) fn node_name(common_name: Option<&str>) -> Option<&str> {
    let name = common_name?.strip_prefix("system:node:")?;
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let fits = (1..=253).contains(&name.len()) && name.bytes().all(is_plain);
    (fits && !name.starts_with(['.', '-']) && !name.ends_with(['.', '-']) && !name.contains(".."))
        .then_some(name)
}
