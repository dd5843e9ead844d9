//! The filter's reading of a request.

use gatelet_core::{
    Headers, Peer,
    kubelet::{self, Input, Node, Refusal},
};
use serde_json::Value;

use crate::{kubelet::Answer, request::Request};

/// What a request is to the filter.
#[derive(Debug)]
pub enum Reading {
    /// It would be put to the policy, as this document.
    HandedOn {
        /// The input document, without what isn't read from the request.
        document: Value,
        /// The header lines that would be removed.
        credentials: Vec<String>,
        /// Whether a bearer token could be among them.
        bearer_token: bool,
        /// Whether one is, beyond doubt.
        one_bearer_token: bool,
    },
    /// No policy is asked.
    Refused(Refusal),
}

/// Members of the input document that a request alone doesn't make.
const NOT_READ: &[&str] = &["schema", "peer", "node"];

/// Reads a request.
///
/// # Errors
/// When the document has no JSON form.
pub fn of(request: &Request) -> serde_json::Result<Reading> {
    let lines = request.lines();
    let headers = Headers::new(&lines);
    let parsed = match kubelet::Request::parse(headers, request.ends()) {
        Ok(parsed) => parsed,
        Err(refusal) => return Ok(Reading::Refused(refusal)),
    };
    let mut document =
        serde_json::to_value(Input::new(&parsed, &Peer::default(), false, &Node::default()))?;
    if let Some(members) = document.as_object_mut() {
        members.retain(|name, _| !NOT_READ.contains(&name.as_str()));
    }
    Ok(Reading::HandedOn {
        document,
        credentials: headers.credentials().map(str::to_owned).collect(),
        bearer_token: headers.has_bearer_token(),
        one_bearer_token: headers.has_one_bearer_token(),
    })
}

impl Reading {
    /// Where the filter and the kubelet understand a request differently: a line for each member.
    ///
    /// A header that only the filter takes for a credential is no difference: it is removed.
    #[must_use]
    pub fn differences(&self, kubelet: &Answer) -> Vec<String> {
        let Self::HandedOn { document, credentials, bearer_token, one_bearer_token } = self else {
            return Vec::new();
        };
        let Some(theirs) = kubelet.reading.as_ref().filter(|_| kubelet.status == 0) else {
            return vec![format!("the kubelet answers {}: {}", kubelet.status, kubelet.why)];
        };
        let mut lines = Vec::new();
        let empty = serde_json::Map::new();
        let ours = document.as_object().unwrap_or(&empty);
        let theirs = theirs.as_object().unwrap_or(&empty);
        let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for name in names {
            let (our, their) = (ours.get(name), theirs.get(name));
            if our != their {
                let show = |value: Option<&Value>| value.map_or("-".to_owned(), Value::to_string);
                lines.push(format!("{name}: {} | kubelet: {}", show(our), show(their)));
            }
        }
        for name in kubelet.credentials.iter().filter(|name| !credentials.contains(name)) {
            lines.push(format!("credential `{name}` | kubelet: takes it"));
        }
        if kubelet.bearer_token && !bearer_token {
            lines.push("no bearer token | kubelet: takes one".to_owned());
        }
        if *one_bearer_token && !kubelet.bearer_token {
            lines.push("one bearer token | kubelet: takes none".to_owned());
        }
        lines
    }
}
