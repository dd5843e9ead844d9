//! What a request asks for: all of it that a learned policy compares.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::comparison::printable;

/// A request, reduced to what decides about it. Equal ones get equal decisions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) endpoint: String,
    pub(super) method: String,
    pub(super) place: Option<Place>,
    pub(super) details: Details,
}

/// Who asks, by the names in the certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Caller {
    pub(super) common_name: String,
    /// All of them, in their order.
    pub(super) organizations: Vec<String>,
}

/// Of which pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) pod: String,
    /// None of a port-forward.
    pub(super) container: Option<String>,
}

/// Fields of the input document that have to be equal, each as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct Details(pub(super) BTreeMap<&'static str, String>);

/// Why a policy can't be learned from a request.
#[derive(Debug, Error)]
pub(super) enum NotLearnable {
    #[error("the document is not whole: {0}")]
    Document(#[from] serde_json::Error),
    #[error("the caller has a token and no certificate; `data.kubelet.scrape` is for such callers")]
    Token,
    #[error("the caller's certificate has no common name, so nothing can be pinned")]
    NoName,
    #[error("the exec brings an environment of its own: {}", .0.join(", "))]
    Environment(Vec<String>),
    #[error("the endpoint {0} is not known")]
    Endpoint(String),
}

#[derive(Deserialize)]
struct Document {
    method: String,
    path: String,
    endpoint: String,
    namespace: Option<String>,
    pod: Option<String>,
    container: Option<String>,
    #[serde(default)]
    exec: Map<String, Value>,
    #[serde(default)]
    attach: Value,
    #[serde(default)]
    run: Value,
    #[serde(default)]
    port_forward: Value,
    #[serde(default)]
    logs: Map<String, Value>,
    query: Value,
    peer: Peer,
}

#[derive(Deserialize)]
struct Peer {
    authenticated: bool,
    common_name: Option<String>,
    organizations: Vec<String>,
}

/// The endpoints of a kubelet, as the input document calls them.
pub(super) const ENDPOINTS: [&str; 16] = [
    "attach",
    "checkpoint",
    "configz",
    "containerLogs",
    "debug",
    "exec",
    "flagz",
    "healthz",
    "metrics",
    "nodeLogs",
    "pods",
    "portForward",
    "run",
    "runningPods",
    "stats",
    "statusz",
];

/// The one variable that Kubernetes itself adds to an exec (KEP-6035).
const AUDIT_ID: &str = "KUBERNETES_EXEC_AUDIT_ID";

impl Asked {
    /// Reads an input document. With `any_lines`, it is no matter which lines of a container's log are
    /// meant.
    ///
    /// # Errors
    /// When no policy can be learned from it.
    pub(super) fn read(input: &str, any_lines: bool) -> Result<Self, NotLearnable> {
        let document: Document = serde_json::from_str(input)?;
        let Document { method, path, endpoint, namespace, pod, container, query, .. } = document;
        let Peer { authenticated, common_name, organizations } = document.peer;
        if !authenticated {
            return Err(NotLearnable::Token);
        }
        let common_name =
            common_name.filter(|name| !name.is_empty()).ok_or(NotLearnable::NoName)?;
        let details = match endpoint.as_str() {
            "exec" => [("exec", without_environment(document.exec)?)].into(),
            "attach" => [("attach", document.attach)].into(),
            "run" => [("run", document.run)].into(),
            "portForward" => [("port_forward", document.port_forward)].into(),
            "containerLogs" if any_lines => {
                let flag = |name| document.logs.get(name).cloned().unwrap_or_default();
                let logs = json!({"follow": flag("follow"), "previous": flag("previous")});
                [("logs", logs)].into()
            }
            "containerLogs" | "checkpoint" => [("query", query)].into(),
            "pods" | "runningPods" | "nodeLogs" | "metrics" | "stats" | "healthz" | "configz"
            | "flagz" | "statusz" | "debug" => {
                BTreeMap::from([("path", Value::String(path)), ("query", query)])
            }
            _ => return Err(NotLearnable::Endpoint(endpoint)),
        };
        let place = match (namespace, pod) {
            (Some(namespace), Some(pod)) => Some(Place { namespace, pod, container }),
            _ => None,
        };
        let details = details.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let caller = Caller { common_name, organizations };
        Ok(Self { caller, endpoint, method, place, details: Details(details) })
    }
}

impl Details {
    /// A request with these details, for a person.
    pub(super) fn what(
        &self,
        endpoint: &str,
        method: &str,
        place: Option<(&str, &str)>,
        container: Option<&str>,
    ) -> String {
        let mut text = format!("{endpoint} by {method}");
        if let Some((namespace, pods)) = place {
            text += &format!(" of {namespace}/{pods}");
        }
        if let Some(container) = container {
            text += &format!("/{container}");
        }
        for (name, value) in &self.0 {
            match *name {
                "path" => text += &format!(" {}", value.trim_matches('"')),
                "query" if value == "{}" => {}
                name => text += &format!(", {name} {value}"),
            }
        }
        printable(&text)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = printable(&self.common_name);
        match self.organizations.as_slice() {
            [] => to.write_str(&name),
            groups => write!(to, "{name} ({})", printable(&groups.join(", "))),
        }
    }
}

fn without_environment(mut exec: Map<String, Value>) -> Result<Value, NotLearnable> {
    if let Some(Value::Object(env)) = exec.remove("env") {
        let other: Vec<_> = env.keys().filter(|name| *name != AUDIT_ID).cloned().collect();
        if !other.is_empty() {
            return Err(NotLearnable::Environment(other));
        }
    }
    Ok(Value::Object(exec))
}
