//! The calls of the Kubernetes API that the approver makes, and how it reads the answers.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    object::{Object, Spec},
    ruling::{Ruling, Verdict},
};

/// What came of a call.
pub type Answer = Result<Response, Failure>;

/// An answer with a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The PEM of the certificate that a node serves, percent-encoded.
    pub peer_certificate: Option<String>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// No answer that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call couldn't be made, its connection broke, or it took too long.
    Unanswered,
    /// The body has more bytes than are read.
    TooLarge,
}

/// The longest body that is read, in bytes.
pub const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// A call to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiCall {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Vec<u8>>,
}

const CSRS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn get(path: String) -> ApiCall {
    ApiCall { method: "GET", path, body: None }
}

fn send(method: &'static str, path: String, body: &Value) -> ApiCall {
    ApiCall { method, path, body: Some(body.to_string().into_bytes()) }
}

/// One page of a signer's requests.
pub(super) fn list(signer: &str, page: usize, token: Option<&str>) -> ApiCall {
    let mut path = format!("{CSRS}?fieldSelector={}&limit={page}", selector(signer));
    if let Some(token) = token {
        path.push_str("&continue=");
        path.push_str(&escape(token));
    }
    get(path)
}

/// What happens to a signer's requests for some seconds.
pub(super) fn watch(signer: &str, resource_version: &str, time: Duration) -> ApiCall {
    get(format!(
        "{CSRS}?fieldSelector={}&watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
        selector(signer),
        time.as_secs(),
        escape(resource_version)
    ))
}

pub(super) fn read(name: &str) -> ApiCall {
    get(format!("{CSRS}/{}", escape(name)))
}

pub(super) fn node(name: &str) -> ApiCall {
    get(format!("/api/v1/nodes/{}", escape(name)))
}

/// Whether who asks may create the subresource; without one, the resource.
pub(super) fn review(spec: &Spec, subresource: Option<&str>) -> ApiCall {
    let mut attributes = json!({
        "group": "certificates.k8s.io",
        "resource": "certificatesigningrequests",
        "verb": "create",
    });
    if let (Some(name), Some(attributes)) = (subresource, attributes.as_object_mut()) {
        attributes.insert("subresource".to_owned(), name.into());
    }
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": spec.username,
            "uid": spec.uid,
            "groups": spec.groups,
            "extra": spec.extra,
            "resourceAttributes": attributes,
        },
    });
    send("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned(), &review)
}

/// The whole object with the ruling as a condition; `None` if there is none to write.
pub(super) fn approval(object: &Value, ruling: &Ruling, now: DateTime<Utc>) -> Option<ApiCall> {
    let r#type = condition(ruling.verdict)?;
    let now = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let condition = json!({
        "type": r#type,
        "status": "True",
        "reason": reason(ruling.verdict),
        "message": ruling.message,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    });
    let mut object = object.clone();
    let name = object.pointer("/metadata/name")?.as_str()?;
    let path = format!("{CSRS}/{}/approval", escape(name));
    let status = object.as_object_mut()?.entry("status").or_insert_with(|| json!({}));
    let conditions = status.as_object_mut()?.entry("conditions").or_insert_with(|| json!([]));
    conditions.as_array_mut()?.push(condition);
    Some(send("PUT", path, &object))
}

/// Whether the object has the condition that this ruling is.
pub(super) fn is_written(object: &Object, ruling: &Ruling) -> bool {
    condition(ruling.verdict)
        .is_some_and(|r#type| object.status.says(r#type, reason(ruling.verdict), &ruling.message))
}

fn condition(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Approve => Some("Approved"),
        Verdict::Deny => Some("Denied"),
        Verdict::Leave => None,
    }
}

/// The event that tells of a ruling.
pub(super) fn event(object: &Object, ruling: &Ruling, now: DateTime<Utc>) -> ApiCall {
    let r#type = match ruling.verdict {
        Verdict::Approve | Verdict::Leave => "Normal",
        Verdict::Deny => "Warning",
    };
    let now = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "gatelet-approver.", "namespace": "default"},
        "involvedObject": {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "name": object.metadata.name,
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
        },
        "type": r#type,
        "reason": reason(ruling.verdict),
        "message": ruling.message,
        "source": {"component": "gatelet-approver"},
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
    });
    send("POST", "/api/v1/namespaces/default/events".to_owned(), &event)
}

/// The reason in conditions and events, in the one word that Kubernetes wants.
fn reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "PolicyApproved",
        Verdict::Deny => "PolicyDenied",
        Verdict::Leave => "PolicyLeft",
    }
}

/// Whether a SubjectAccessReview allows; `None` if it says neither.
pub(super) fn is_allowed(body: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Review {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        allowed: bool,
        #[serde(default)]
        denied: bool,
    }

    let Review { status } = serde_json::from_slice(body).ok()?;
    Some(status.allowed && !status.denied)
}

fn selector(signer: &str) -> String {
    escape(&format!("spec.signerName={signer}"))
}

/// Everything but RFC 3986's unreserved bytes as `%XX`.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

/// The subresources that the policy gets to know about, by what they are called in its input.
pub(super) fn subresources(
    signer: &str,
    serving: Option<&str>,
) -> BTreeMap<String, Option<String>> {
    let ask = |name: &str| (name.to_owned(), Some(name.to_owned()));
    if signer == super::KUBELET_CLIENT {
        return BTreeMap::from([ask("selfnodeclient"), ask("nodeclient")]);
    }
    BTreeMap::from([match serving {
        Some(name) => ask(name),
        None => ("certificatesigningrequests".to_owned(), None),
    }])
}
