//! What a request asks for: the verb and the resource that RBAC knows.

use std::collections::BTreeMap;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::status::Status;
use super::store::{EVENTS, LEASES, NODES, REQUESTS};
use super::{Permission, Rbac, User};

/// The only resource that isn't stored.
pub(super) const REVIEWS: &str = "subjectaccessreviews";

/// The API groups served here, with their version.
const GROUPS: [(&str, &str, &str, bool); 6] = [
    ("certificates.k8s.io", "v1", REQUESTS, false),
    ("authorization.k8s.io", "v1", REVIEWS, false),
    ("coordination.k8s.io", "v1", LEASES, true),
    ("events.k8s.io", "v1", EVENTS, true),
    ("", "v1", EVENTS, true),
    ("", "v1", NODES, false),
];

/// A request that has one meaning.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) subresource: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) query: BTreeMap<String, String>,
}

impl Asked {
    pub(super) fn parse(method: &Method, target: &str) -> Result<Self, Status> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Status::no_such_path()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, None, None),
            [resource, name] => (*resource, Some(*name), None),
            [resource, name, subresource] => (*resource, Some(*name), Some(*subresource)),
            _ => return Err(Status::no_such_path()),
        };
        let known = GROUPS.into_iter().find(|known| {
            (known.0, known.1, known.2, known.3) == (group, version, resource, namespace.is_some())
        });
        let (group, _, resource, _) = known.ok_or_else(Status::no_such_path)?;
        let query = parse_query(query)?;
        let watch = query.get("watch").is_some_and(|watch| matches!(watch.as_str(), "1" | "true"));
        let verb = match (method, name) {
            (&Method::GET, None) if watch => "watch",
            (&Method::GET, None) => "list",
            (&Method::GET, Some(_)) => "get",
            (&Method::POST, None) => "create",
            (&Method::PUT, Some(_)) => "update",
            _ => return Err(Status::method_not_allowed()),
        };
        Ok(Self {
            verb,
            group,
            resource,
            subresource: subresource.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            query,
        })
    }

    /// What RBAC is asked.
    pub(super) fn permission(&self) -> Permission {
        let resource = match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.to_owned(),
        };
        Permission {
            namespace: self.namespace.clone(),
            verb: self.verb.to_owned(),
            group: self.group.to_owned(),
            resource,
            name: self.name.clone(),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Status> {
        let Some(text) = self.query.get(key).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = text.parse();
        number.map(Some).map_err(|_| Status::bad_request(format!("invalid {key}: {text:?}")))
    }
}

/// Whether a user may approve or deny what is meant for this signer.
pub(super) fn may_approve(rbac: &Rbac, user: &User, signer: &str) -> (Permission, bool) {
    let domain = signer.split_once('/').map_or(signer, |(domain, _)| domain);
    let of = |name: String| Permission {
        namespace: None,
        verb: "approve".to_owned(),
        group: "certificates.k8s.io".to_owned(),
        resource: "signers".to_owned(),
        name: Some(name),
    };
    let exact = of(signer.to_owned());
    let allowed = rbac.allows(user, &exact) || rbac.allows(user, &of(format!("{domain}/*")));
    (exact, allowed)
}

fn parse_query(query: &str) -> Result<BTreeMap<String, String>, Status> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned())
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(key)?, decode(value)?))
    });
    let pairs: Result<_, std::str::Utf8Error> = pairs.collect();
    pairs.map_err(|_| Status::bad_request("the query is not UTF-8"))
}
