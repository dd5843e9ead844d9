//! Objects with their history: what etcd and the watch cache are to the real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

/// Certificate signing requests.
pub const REQUESTS: &str = "certificatesigningrequests";
/// Nodes.
pub const NODES: &str = "nodes";
/// Events, of whichever of the two API groups.
pub const EVENTS: &str = "events";
/// Leases.
pub const LEASES: &str = "leases";

/// Namespace (empty for the cluster's own objects) and name.
type Key = (&'static str, String, String);

/// All objects.
#[derive(Debug)]
pub(super) struct Store {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
}

/// A version of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) resource: &'static str,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) kind: &'static str,
    pub(super) object: Arc<Value>,
}

impl Default for Store {
    fn default() -> Self {
        Self { inner: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Store {
    /// Creates or replaces an object, which gets a new resource version.
    pub(super) fn put(&self, resource: &'static str, object: Value) -> Arc<Value> {
        let stored = self.lock().put(resource, object);
        self.announce();
        stored
    }

    /// Replaces an object if it is still of this resource version; returns what it is now.
    pub(super) fn replace(
        &self,
        resource: &'static str,
        version: &str,
        object: Value,
    ) -> Result<Arc<Value>, Arc<Value>> {
        let stored = {
            let mut inner = self.lock();
            let current = inner.objects.get(&key(resource, &object)).cloned();
            match current {
                Some(current) if current.pointer(VERSION) != Some(&json!(version)) => {
                    return Err(current);
                }
                _ => inner.put(resource, object),
            }
        };
        self.announce();
        Ok(stored)
    }

    pub(super) fn remove(&self, resource: &'static str, namespace: &str, name: &str) {
        {
            let mut inner = self.lock();
            let key = (resource, namespace.to_owned(), name.to_owned());
            let Some(object) = inner.objects.remove(&key) else { return };
            inner.revision += 1;
            let revision = inner.revision;
            inner.history.push(Change { revision, resource, kind: "DELETED", object });
        }
        self.announce();
    }

    pub(super) fn get(
        &self,
        resource: &'static str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        self.lock().objects.get(&(resource, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a resource, by namespace and name.
    pub(super) fn all(&self, resource: &'static str) -> Vec<Arc<Value>> {
        let inner = self.lock();
        let of_resource = inner.objects.iter().filter(|((kind, ..), _)| *kind == resource);
        of_resource.map(|(_, object)| Arc::clone(object)).collect()
    }

    pub(super) fn history(&self, resource: &'static str, name: &str) -> Vec<Value> {
        let named = |change: &&Change| {
            change.resource == resource
                && change.object.pointer("/metadata/name") == Some(&json!(name))
        };
        self.lock()
            .history
            .iter()
            .filter(named)
            .map(|change| Value::clone(&change.object))
            .collect()
    }

    /// What has happened to a resource after a revision.
    pub(super) fn since(&self, resource: &'static str, revision: u64) -> Vec<Change> {
        let inner = self.lock();
        let begin = inner.history.partition_point(|change| change.revision <= revision);
        let news = inner.history.iter().skip(begin);
        news.filter(|change| change.resource == resource).cloned().collect()
    }

    pub(super) fn revision(&self) -> u64 {
        self.lock().revision
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn announce(&self) {
        self.changes.send_replace(self.revision());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an object has its resource version.
pub(super) const VERSION: &str = "/metadata/resourceVersion";

impl Inner {
    fn put(&mut self, resource: &'static str, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        let revision = self.revision;
        let key = key(resource, &object);
        let known = self.objects.get(&key);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let kept = |field| known.and_then(|known| known.pointer(field)).cloned();
            let created = kept("/metadata/creationTimestamp");
            let uid = kept("/metadata/uid");
            metadata.insert("resourceVersion".to_owned(), json!(revision.to_string()));
            metadata.insert(
                "creationTimestamp".to_owned(),
                created.unwrap_or_else(|| json!(super::resources::now())),
            );
            metadata.insert(
                "uid".to_owned(),
                uid.unwrap_or_else(|| json!(format!("00000000-0000-4000-8000-{revision:012x}"))),
            );
        }
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        let object = Arc::new(object);
        self.objects.insert(key, Arc::clone(&object));
        self.history.push(Change { revision, resource, kind, object: Arc::clone(&object) });
        object
    }
}

fn key(resource: &'static str, object: &Value) -> Key {
    let text = |pointer| {
        object.pointer(pointer).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
    };
    (resource, text("/metadata/namespace"), text("/metadata/name"))
}

/// Puts a value where these keys lead, through objects that are made where there are none.
pub(super) fn set(mut object: &mut Value, path: &[&str], value: Value) {
    for key in path {
        if !object.is_object() {
            *object = json!({});
        }
        let Some(fields) = object.as_object_mut() else { return };
        object = fields.entry(*key).or_insert(Value::Null);
    }
    *object = value;
}
