//! list, watch, get, create and update, as every resource has them.

use std::convert::Infallible;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream;
use hyper::StatusCode;
use hyper::body::Frame;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::events::v1::Event as NewEvent;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::request::{Asked, REVIEWS};
use super::status::Status;
use super::store::{Change, EVENTS, LEASES, REQUESTS, VERSION, set};
use super::{ApiServer, Caller, Fault, User, approval, review};

/// The longest watch, where its client names no end.
const WATCH: Duration = Duration::from_secs(1_800);

/// Serves a request whose user may do what it asks for.
pub(super) fn serve(
    server: &std::sync::Arc<ApiServer>,
    caller: &Caller,
    asked: &Asked,
    body: Option<Value>,
    fault: Option<&Fault>,
) -> Result<Answer, Status> {
    let expired = fault == Some(&Fault::Expired);
    match (asked.verb, asked.resource, asked.subresource.as_deref(), &asked.name, body) {
        ("list", resource, None, None, _) => list(server, asked, resource, expired),
        ("watch", resource, None, None, _) => watch(server, asked, resource, expired),
        ("get", resource, None, Some(name), _) => {
            let namespace = asked.namespace.as_deref().unwrap_or_default();
            let object = server.store.get(resource, namespace, name);
            object
                .map(|object| Answer::ok(Value::clone(&object)))
                .ok_or_else(|| Status::not_found(resource, asked.group, name))
        }
        ("create", REVIEWS, None, None, Some(body)) => review::answer(&server.rbac, body),
        ("create", resource, None, None, Some(body)) => {
            create(server, &caller.user, asked, resource, body)
        }
        ("update", REQUESTS, Some("approval"), Some(name), Some(body)) => {
            if fault == Some(&Fault::OvertakenUpdate) {
                overtake(server, name);
            }
            approval::update(server, caller, name, body)
        }
        ("update", LEASES, None, Some(name), Some(body)) => {
            let _lease: Lease = decode(&body)?;
            replace(server, asked, LEASES, name, body)
        }
        (.., None) => Err(Status::bad_request("the request body is no JSON object")),
        _ => Err(Status::method_not_allowed()),
    }
}

/// This moment, as objects have it.
pub(super) fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Reads an object as the real one does: fields of a wrong type are refused.
pub(super) fn decode<T: DeserializeOwned>(body: &Value) -> Result<T, Status> {
    serde_json::from_value(body.clone())
        .map_err(|error| Status::bad_request(format!("the object can't be read: {error}")))
}

fn list(
    server: &ApiServer,
    asked: &Asked,
    resource: &'static str,
    expired: bool,
) -> Result<Answer, Status> {
    let selector = Selector::parse(asked)?;
    let limit = asked.number("limit")?.unwrap_or(0);
    let (revision, after) = match asked.query.get("continue").filter(|text| !text.is_empty()) {
        Some(token) => {
            let (revision, after) = continued(token)?;
            if expired {
                return Err(Status::expired_continue(token_for(server.store.revision(), &after)));
            }
            (revision, after)
        }
        None if expired => {
            let version = asked.number("resourceVersion")?.unwrap_or(0);
            return Err(Status::expired_version(version, server.store.revision()));
        }
        None => (server.store.revision(), String::new()),
    };
    let wanted = server.store.all(resource).into_iter().filter(|object| {
        selector.matches(object)
            && (asked.namespace.is_none() || text(object, "/metadata/namespace") == asked.namespace)
            && text(object, "/metadata/name").is_some_and(|name| name > after)
    });
    let mut items: Vec<_> = wanted.collect();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit > 0 && items.len() > limit {
        let rest = items.len() - limit;
        items.truncate(limit);
        let last = items.last().and_then(|object| text(object, "/metadata/name"));
        let next = token_for(revision, &last.unwrap_or_default());
        set(&mut metadata, &["continue"], json!(next));
        // Nobody counts what a selector has yet to select.
        if selector.is_empty() {
            set(&mut metadata, &["remainingItemCount"], json!(rest));
        }
    }
    let kind = match resource {
        REQUESTS => "CertificateSigningRequestList",
        LEASES => "LeaseList",
        EVENTS => "EventList",
        _ => "NodeList",
    };
    let items: Vec<Value> = items.iter().map(|item| without_kind(item)).collect();
    Ok(Answer::ok(json!({
        "kind": kind, "apiVersion": version(asked.group), "metadata": metadata, "items": items,
    })))
}

/// The items of a list don't say what they are.
fn without_kind(item: &Value) -> Value {
    let fields = item.as_object().into_iter().flatten();
    let fields = fields.filter(|(key, _)| !matches!(key.as_str(), "kind" | "apiVersion"));
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}

fn watch(
    server: &std::sync::Arc<ApiServer>,
    asked: &Asked,
    resource: &'static str,
    expired: bool,
) -> Result<Answer, Status> {
    let selector = Selector::parse(asked)?;
    let since = asked.number("resourceVersion")?;
    let seconds = asked.number("timeoutSeconds")?.map_or(WATCH, Duration::from_secs);
    if expired {
        let status = Status::expired_version(since.unwrap_or(0), server.store.revision());
        let event = line("ERROR", &status.object());
        return Ok(Answer::watch(stream::iter([Ok(Frame::data(event))])));
    }
    let mut pending: Vec<Bytes> = Vec::new();
    let seen = match since {
        Some(revision) if revision > 0 => revision,
        // Whoever names no version gets everything there is first.
        _ => {
            let there = server.store.all(resource);
            let there = there.iter().filter(|object| selector.matches(object));
            pending.extend(there.map(|object| line("ADDED", object)));
            server.store.revision()
        }
    };
    let bookmarks = asked.query.get("allowWatchBookmarks").is_some_and(|asked| asked == "true");
    let end = Some(Instant::now() + seconds);
    let state = (std::sync::Arc::clone(server), seen, pending, end);
    let changes = server.store.changes();
    let events = stream::unfold((state, changes), move |(state, mut changes)| {
        let selector = selector.clone();
        async move {
            let (server, mut seen, mut pending, end) = state;
            let end = end?;
            loop {
                // Before looking, so that no change is missed in between.
                changes.borrow_and_update();
                for change in server.store.since(resource, seen) {
                    seen = seen.max(change.revision);
                    let Change { kind, object, .. } = change;
                    if selector.matches(&object) {
                        pending.push(line(kind, &object));
                    }
                }
                if !pending.is_empty() {
                    let bytes = Bytes::from(pending.concat());
                    let state = (server, seen, Vec::new(), Some(end));
                    return Some((Ok::<_, Infallible>(Frame::data(bytes)), (state, changes)));
                }
                if !matches!(timeout_at(end, changes.changed()).await, Ok(Ok(()))) {
                    // Shortly before its end, the real one tells how far it has come.
                    let frame = bookmarks.then(|| Ok(Frame::data(bookmark(seen))))?;
                    return Some((frame, ((server, seen, Vec::new(), None), changes)));
                }
            }
        }
    });
    Ok(Answer::watch(events))
}

fn bookmark(revision: u64) -> Bytes {
    let metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    let spec = json!({"request": null, "signerName": ""});
    line(
        "BOOKMARK",
        &json!({
            "kind": "CertificateSigningRequest", "apiVersion": "certificates.k8s.io/v1",
            "metadata": metadata, "spec": spec, "status": {},
        }),
    )
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    line.into()
}

fn create(
    server: &std::sync::Arc<ApiServer>,
    user: &User,
    asked: &Asked,
    resource: &'static str,
    mut body: Value,
) -> Result<Answer, Status> {
    match resource {
        REQUESTS => {
            let _request: CertificateSigningRequest = decode(&body)?;
            // Whatever the client says: the user is who was authenticated, and nothing is decided.
            let spec = body.get_mut("spec").and_then(Value::as_object_mut);
            let spec = spec.ok_or_else(|| Status::bad_request("no spec"))?;
            spec.insert("username".to_owned(), json!(user.name));
            spec.insert("groups".to_owned(), json!(user.groups));
            set(&mut body, &["status"], json!({}));
        }
        EVENTS => event(asked, &body)?,
        LEASES => drop(decode::<Lease>(&body)?),
        _ => return Err(Status::method_not_allowed()),
    }
    let metadata = body.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or_else(|| Status::bad_request("no metadata"))?;
    if let Some(namespace) = &asked.namespace {
        let named = metadata.insert("namespace".to_owned(), json!(namespace));
        if named.is_some_and(|named| named != json!(namespace)) {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(message));
        }
    }
    if let (None, Some(prefix)) = (metadata.get("name"), metadata.get("generateName")) {
        let prefix = prefix.as_str().unwrap_or_default();
        let name = format!("{prefix}{:05x}", server.store.revision());
        metadata.insert("name".to_owned(), json!(name));
    }
    let name = text(&body, "/metadata/name")
        .ok_or_else(|| Status::bad_request("name or generateName is required"))?;
    let namespace = asked.namespace.as_deref().unwrap_or_default();
    if server.store.get(resource, namespace, &name).is_some() {
        return Err(Status::already_exists(resource, asked.group, &name));
    }
    let stored = server.store.put(resource, body);
    Ok(Answer::Object(StatusCode::CREATED, Value::clone(&stored)))
}

/// An event about an object without a namespace has to be in `default`.
fn event(asked: &Asked, body: &Value) -> Result<(), Status> {
    let invalid = |field, problem| Err(Status::invalid("Event", "", field, problem));
    let about = if asked.group.is_empty() {
        let _event: Event = decode(body)?;
        "/involvedObject/namespace"
    } else {
        let _event: NewEvent = decode(body)?;
        for field in ["reportingController", "reportingInstance", "action", "reason", "eventTime"] {
            if body.get(field).is_none_or(|value| value.as_str().is_none_or(str::is_empty)) {
                return invalid(field, "Required value");
            }
        }
        if text(body, "/note").is_some_and(|note| note.len() > 1_024) {
            return invalid("note", "can have at most 1024 bytes");
        }
        "/regarding/namespace"
    };
    let home = text(body, about).filter(|namespace| !namespace.is_empty());
    if home.as_deref().unwrap_or("default") != asked.namespace.as_deref().unwrap_or_default() {
        return invalid("involvedObject.namespace", "does not match event.namespace");
    }
    Ok(())
}

fn replace(
    server: &ApiServer,
    asked: &Asked,
    resource: &'static str,
    name: &str,
    mut body: Value,
) -> Result<Answer, Status> {
    let namespace = asked.namespace.as_deref().unwrap_or_default();
    if server.store.get(resource, namespace, name).is_none() {
        return Err(Status::not_found(resource, asked.group, name));
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("name".to_owned(), json!(name));
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    let version = text(&body, VERSION).unwrap_or_default();
    server
        .store
        .replace(resource, &version, body)
        .map(|object| Answer::ok(Value::clone(&object)))
        .map_err(|_| Status::conflict(resource, asked.group, name))
}

/// What another client does to a request: it gets another resource version.
fn overtake(server: &ApiServer, name: &str) {
    if let Some(object) = server.store.get(REQUESTS, "", name) {
        let mut object = Value::clone(&object);
        set(&mut object, &["metadata", "annotations"], json!({"example.com/seen": "yes"}));
        server.store.put(REQUESTS, object);
    }
}

pub(super) fn text(object: &Value, pointer: &str) -> Option<String> {
    object.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

fn version(group: &str) -> String {
    if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") }
}

/// The fields that objects are selected by.
#[derive(Clone, Debug)]
struct Selector(Vec<(&'static str, bool, String)>);

impl Selector {
    fn parse(asked: &Asked) -> Result<Self, Status> {
        let selector = asked.query.get("fieldSelector").map(String::as_str).unwrap_or_default();
        let terms = selector.split(',').filter(|term| !term.is_empty()).map(|term| {
            let (field, equal, value) = if let Some((field, value)) = term.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = term.split_once('=') {
                (field, true, value.trim_start_matches('='))
            } else {
                return Err(Status::bad_request(format!("invalid selector: {term:?}")));
            };
            let pointer = match (asked.resource, field) {
                (_, "metadata.name") => "/metadata/name",
                (REQUESTS, "spec.signerName") => "/spec/signerName",
                _ => {
                    let message = format!("field label not supported: {field}");
                    return Err(Status::bad_request(message));
                }
            };
            Ok((pointer, equal, value.to_owned()))
        });
        terms.collect::<Result<_, _>>().map(Self)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, equal, value)| {
            (object.pointer(pointer) == Some(&json!(value))) == *equal
        })
    }
}

fn token_for(revision: u64, after: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{after}\0")});
    BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
}

fn continued(token: &str) -> Result<(u64, String), Status> {
    let read = || {
        let token: Value =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let after = token.get("start")?.as_str()?.trim_end_matches('\0').to_owned();
        Some((token.get("rv")?.as_u64()?, after))
    };
    read().ok_or_else(|| Status::bad_request("continue key is not valid"))
}
