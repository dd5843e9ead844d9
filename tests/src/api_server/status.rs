//! Refusals, as `Status` objects in the words of the real one.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Permission;

/// Why a request isn't served.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
    /// Of a list that can only be had inconsistently from here on.
    next: Option<String>,
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}), next: None }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(user: &str, wanted: &Permission) -> Self {
        let Permission { namespace, verb, group, resource, name } = wanted;
        let (base, _) = resource.split_once('/').unwrap_or((resource, ""));
        let object = name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let dot = if group.is_empty() { "" } else { "." };
        let scope = match namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let message = format!(
            "{base}{dot}{group}{object} is forbidden: User \"{user}\" cannot {verb} resource \
             \"{resource}\" in API group \"{group}\" {scope}"
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(
            base,
            group,
            name.as_deref().unwrap_or_default(),
        )
    }

    /// What the admission plugin CertificateApproval says.
    pub(super) fn not_an_approver(name: &str, signer: &str) -> Self {
        let message = format!(
            "certificatesigningrequests.certificates.k8s.io \"{name}\" is forbidden: user not \
             permitted to approve requests with signerName \"{signer}\""
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about_request(name)
    }

    pub(super) fn not_found(resource: &str, group: &str, name: &str) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        let message = format!("{resource}{dot}{group} \"{name}\" not found");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(resource, group, name)
    }

    pub(super) fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn already_exists(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{resource}.{group} \"{name}\" already exists");
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(resource, group, name)
    }

    pub(super) fn conflict(resource: &str, group: &str, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {resource}.{group} \"{name}\": the object has been \
             modified; please apply your changes to the latest version and try again"
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(resource, group, name)
    }

    /// A field has a value that it mustn't have.
    pub(super) fn invalid(kind: &str, name: &str, field: &str, problem: &str) -> Self {
        let message = format!("{kind} \"{name}\" is invalid: {field}: {problem}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    pub(super) fn internal(message: &str) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// A `continue` token that is too old; with another one, for who puts up with inconsistency.
    pub(super) fn expired_continue(next: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list \
                       result. You can start a new list without the continue parameter, or use the \
                       continue token in this response to retrieve the remainder of the results.";
        Self { next: Some(next), ..Self::new(StatusCode::GONE, "Expired", message) }
    }

    pub(super) fn expired_version(version: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {version} ({oldest})");
        Self::new(StatusCode::GONE, "Expired", message)
    }

    fn about(mut self, resource: &str, group: &str, name: &str) -> Self {
        self.details = json!({"name": name, "group": group, "kind": resource});
        self
    }

    fn about_request(self, name: &str) -> Self {
        self.about(super::REQUESTS, "certificates.k8s.io", name)
    }

    pub(super) fn object(&self) -> Value {
        let metadata = match &self.next {
            Some(next) => json!({"continue": next}),
            None => json!({}),
        };
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details,
            "code": self.code.as_u16(),
        })
    }
}
