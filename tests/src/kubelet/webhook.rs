//! The kubelet's own authentication and authorization, as with webhooks: what it asks of the API server
//! is known here beforehand.
//!
//! As in Kubernetes' `pkg/kubelet/server/auth.go` and `k8s.io/apiserver/pkg/authentication/request`.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Serialize;

use super::answer::{Answer, text};
use super::record::{Peer, Recorded};

/// What the API server says of tokens (`TokenReview`) and of their users (`SubjectAccessReview`).
///
/// Whoever has a certificate of the clients' CA may do everything, as the gate may.
#[derive(Clone, Debug, Default)]
pub struct Webhook {
    /// The users of the valid tokens.
    pub tokens: BTreeMap<String, Account>,
}

/// A ServiceAccount.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its user name.
    pub name: String,
    /// The subresources of `nodes` that it may `get`.
    pub may_get: Vec<String>,
}

/// As whom a request arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum User {
    /// The client certificate's subject. Where there is one, a token isn't looked at.
    Certificate(Peer),
    /// The account of a bearer token.
    Token(String),
    /// Nobody that the kubelet knows.
    Nobody,
}

impl Webhook {
    /// Who sent this.
    pub(super) fn authenticate(&self, peer: Option<&Peer>, headers: &[(String, Vec<u8>)]) -> User {
        if let Some(peer) = peer {
            return User::Certificate(peer.clone());
        }
        match self.account(headers) {
            Some(account) => User::Token(account.name.clone()),
            None => User::Nobody,
        }
    }

    /// The answer to whom the request is not allowed.
    pub(super) fn refusal(&self, request: &Recorded) -> Option<Answer> {
        match &request.user {
            User::Certificate(_) => None,
            User::Nobody => Some(text(StatusCode::UNAUTHORIZED, "Unauthorized")),
            User::Token(name) => {
                let subresource = subresource(&request.target);
                let may = self.account(&request.headers).is_some_and(|account| {
                    request.method == "GET" && account.may_get.iter().any(|may| may == subresource)
                });
                let verb = request.method.to_ascii_lowercase();
                let refusal = format!(
                    "Forbidden (user={name}, verb={verb}, resource=nodes, \
                     subresource(s)=[{subresource}])\n"
                );
                (!may).then(|| text(StatusCode::FORBIDDEN, refusal))
            }
        }
    }

    /// Go takes the first of several lines, and any spelling of the scheme.
    fn account(&self, headers: &[(String, Vec<u8>)]) -> Option<&Account> {
        let mut values =
            headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let value = std::str::from_utf8(&values.next()?.1).ok()?;
        let mut parts = value.trim().splitn(3, ' ');
        let is_bearer = parts.next()?.eq_ignore_ascii_case("bearer");
        self.tokens.get(parts.next()?).filter(|_| is_bearer)
    }
}

/// The first that the kubelet's authorizer asks about.
fn subresource(target: &[u8]) -> &'static str {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match path.split(|byte| *byte == b'/').nth(1) {
        Some(b"metrics") => "metrics",
        Some(b"stats") => "stats",
        Some(b"healthz") => "healthz",
        Some(b"logs") => "log",
        Some(b"pods" | b"runningpods") => "pods",
        _ => "proxy",
    }
}
