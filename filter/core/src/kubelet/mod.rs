//! The kubelet's HTTP API: a request either has one reading, or none.
//!
//! ```text
//! bytes -> CanonicalPath, Query, Upgrade -> Route -> Endpoint -> Input (what a policy sees)
//! ```

mod endpoint;
mod input;
mod names;
mod path;
mod query;
mod upgrade;

use serde::Serialize;
use thiserror::Error;

use crate::headers::{Headers, InvalidHeader};
use endpoint::{NoRoute, Route};

pub use endpoint::{
    Attach, Checkpoint, ContainerRef, Debug, DebugKind, Endpoint, Exec, Healthz, Logs, Metrics,
    MetricsSource, NodeLogs, PodRef, PortForward, Run, Stats,
};
pub use input::{Authorization, Input, Node, SCHEMA};
pub use names::{Label, PodName};
pub use path::{CanonicalPath, InvalidPath};
pub use query::{InvalidQuery, Query};
pub use upgrade::{InvalidUpgrade, Upgrade, UpgradeKind};

/// A request that the kubelet will read exactly as it is read here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path that the kubelet gets.
    pub path: CanonicalPath,
    /// What the caller wants.
    pub endpoint: Endpoint,
    /// The upgrade it asks for; only endpoints that stream have one.
    pub upgrade: Option<Upgrade>,
    /// The query, decoded, without `timeout` on plain requests.
    pub query: Query,
    /// The caller's software, as it says.
    pub user_agent: Option<String>,
}

/// The methods that some endpoint has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

/// Why no policy is asked about a request.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It has no reading, or more than one.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The kubelet has no such endpoint.
    #[error("no such endpoint")]
    UnknownEndpoint,
    /// The endpoint doesn't have the method.
    #[error("the endpoint does not have the method")]
    Method,
}

/// Why a request can't be read.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Envoy's pseudo headers are missing.
    #[error("no method or path")]
    NoTarget,
    /// A header has no single value.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// No authority, or several.
    #[error("not exactly one authority")]
    Authority,
    /// The path.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// A namespace, pod or container.
    #[error("a name in the path that Kubernetes does not take")]
    Name,
    /// The query.
    #[error(transparent)]
    Query(#[from] InvalidQuery),
    /// The upgrade.
    #[error(transparent)]
    Upgrade(#[from] InvalidUpgrade),
    /// A body, or a header that announces one: the kubelet lets form bodies override the query.
    #[error("a body, or `{0}`")]
    Body(&'static str),
}

impl Request {
    /// Reads a request from its header lines; `end_of_stream` is false if more follows them.
    ///
    /// # Errors
    /// When a kubelet could read the request in another way than this one, or has no use for it.
    pub fn parse(headers: Headers<'_>, end_of_stream: bool) -> Result<Self, Refusal> {
        let target = headers.all(":path").next().ok_or(Malformed::NoTarget)?;
        let method = headers.all(":method").next().ok_or(Malformed::NoTarget)?;
        authority(headers)?;

        let mut halves = target.splitn(2, |&byte| byte == b'?');
        let path =
            CanonicalPath::parse(halves.next().unwrap_or_default()).map_err(Malformed::from)?;
        let query = halves.next().map(Query::parse).transpose().map_err(Malformed::from)?;
        let query = query.unwrap_or_default();

        let route = Route::find(&path.segments().collect::<Vec<_>>()).map_err(|no| match no {
            NoRoute::Unknown => Refusal::UnknownEndpoint,
            NoRoute::Name => Malformed::Name.into(),
        })?;
        let method = Method::parse(method)
            .filter(|method| route.methods().contains(method))
            .ok_or(Refusal::Method)?;

        let (upgrade, query) = match route.streams() {
            Some(streams) => {
                (Some(Upgrade::parse(headers, method, streams).map_err(Malformed::from)?), query)
            }
            None => {
                Upgrade::refuse(headers).map_err(Malformed::from)?;
                (None, without_request_timeout(method, query)?)
            }
        };
        no_body(headers, upgrade.is_some(), end_of_stream)?;
        let endpoint = route.with(&query, upgrade.as_ref()).map_err(Malformed::from)?;
        let user_agent = headers.one("user-agent").map_err(Malformed::from)?.map(str::to_owned);
        Ok(Self { method, path, endpoint, upgrade, query, user_agent })
    }
}

impl Method {
    /// The method by its name; the kubelet's router compares bytes.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"GET" => Some(Self::Get),
            b"POST" => Some(Self::Post),
            b"PUT" => Some(Self::Put),
            b"DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// The method's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// The verb that the kubelet's own authorizer makes of it.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "create",
            Self::Put => "update",
            Self::Delete => "delete",
        }
    }
}

/// Envoy joins several `Host` lines with a comma and forwards them so.
fn authority(headers: Headers<'_>) -> Result<(), Malformed> {
    let one = headers.one(":authority")?.filter(|host| !host.is_empty());
    match one {
        Some(host) if host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') => Ok(()),
        _ => Err(Malformed::Authority),
    }
}

fn no_body(headers: Headers<'_>, streams: bool, end_of_stream: bool) -> Result<(), Malformed> {
    for name in ["transfer-encoding", "expect", "trailer"] {
        if headers.has(name) {
            return Err(Malformed::Body(name));
        }
    }
    if headers.one("content-length")?.is_some_and(|length| length != "0") {
        return Err(Malformed::Body("content-length"));
    }
    if streams && headers.has("content-type") {
        return Err(Malformed::Body("content-type"));
    }
    // What follows an upgrade is held back by Envoy until the kubelet's 101.
    if !streams && !end_of_stream {
        return Err(Malformed::Body("data"));
    }
    Ok(())
}

/// `kubectl --request-timeout` leaves `timeout` in the query of what it gets through the API
/// server. The kubelet doesn't read it, and a policy doesn't see it.
fn without_request_timeout(method: Method, query: Query) -> Result<Query, Malformed> {
    if method != Method::Get {
        return Ok(query);
    }
    let is_duration = |value: &str| {
        (1..=32).contains(&value.len())
            && value.bytes().all(|byte| byte.is_ascii_digit() || b".hmsun".contains(&byte))
    };
    query.read("timeout", |value| is_duration(value).then_some(()))?;
    Ok(query.without("timeout"))
}

#[cfg(test)]
mod tests;
