//! A stand-in for the API server: real TLS, real authentication and RBAC, a signer that really signs.
//!
//! It speaks the part of the Kubernetes API (1.36) that concerns certificate signing requests, in the
//! shapes and words of the real one. Where that one forgives what a client shouldn't do, this one
//! refuses: an approval without a resource version, or with another `spec`.
//!
//! ```text
//! server          listener, TLS, one task a connection; hyper on top of it
//! authentication  client certificate or bearer token -> user     rbac -> what the user may
//! request         method and target -> verb, resource, name      record <- every question to RBAC
//! resources       list, watch, get, create, update               store  <- objects, with history
//! approval        the rules of the subresource                   signer <- what was approved
//! fault           what goes wrong, on demand
//! ```

mod answer;
mod approval;
mod authentication;
mod fault;
mod options;
mod rbac;
mod record;
mod request;
mod resources;
mod review;
mod server;
mod signer;
mod status;
mod store;

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

pub use self::authentication::User;
pub use self::fault::Fault;
pub use self::options::{Options, TEN_YEARS};
pub use self::rbac::{Permission, Rbac};
pub use self::record::{Credential, Recorded};
pub use self::store::{EVENTS, LEASES, NODES, REQUESTS};
use self::{
    authentication::{Caller, Tokens},
    fault::Faults,
    record::Recorder,
    server::Listener,
    signer::Signer,
    store::Store,
};
use crate::deadline::within;

/// A running stand-in API server, with a thread and a runtime of its own.
///
/// Dropping it stops it. A panic inside it is passed on then, so that it fails the test.
#[derive(Debug)]
pub struct StandInApiServer {
    address: SocketAddr,
    shared: Arc<ApiServer>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandInApiServer {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// When a certificate or a manifest is unreadable, or the address is taken.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let shared = Arc::new(ApiServer {
            rbac: Rbac::parse(&options.manifests)?,
            tokens: Tokens::default(),
            store: Store::default(),
            faults: Faults::default(),
            recorder: Recorder::default(),
            signer: Signer::new(options.signer),
            hangups: watch::Sender::new(()),
        });
        let (bound, listening) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let listener = (options.listen, options.serving, options.client_ca);
        let server = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("stand-in-api-server".to_owned()).spawn(move || {
                let bind = || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    let (listen, serving, client_ca) = listener;
                    let listener =
                        runtime.block_on(Listener::bind(listen, &serving, &client_ca))?;
                    anyhow::Ok((listener, runtime))
                };
                // Nobody receives only if the starting thread has died.
                match bind() {
                    Ok((listener, runtime)) => {
                        bound.send(listener.address()).ok();
                        runtime.block_on(listener.serve(server, stopped));
                    }
                    Err(error) => drop(bound.send(Err(error))),
                }
            })?;
        let address = listening.recv().context("the API server's thread has ended")??;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a token for this user from now on, and no other token for them any more.
    pub fn accept_token(&self, token: &str, user: User) {
        self.shared.tokens.accept(token, user);
    }

    /// Lets the next `times` requests with this verb for this resource go wrong.
    pub fn fail(&self, verb: &'static str, resource: &'static str, fault: Fault, times: usize) {
        self.shared.faults.add(verb, resource, fault, times);
    }

    /// Closes every connection.
    pub fn hang_up(&self) {
        self.shared.hangups.send_replace(());
    }

    /// How many of the requests that are to go wrong are still to come.
    pub fn faults_left(&self) -> usize {
        self.shared.faults.left()
    }

    /// Creates a node with these addresses (type and value) and the port of its kubelet.
    pub fn add_node(&self, name: &str, addresses: &[(&str, &str)], kubelet_port: u16) {
        let addresses: Vec<_> = addresses
            .iter()
            .map(|(kind, address)| json!({"type": kind, "address": address}))
            .collect();
        self.shared.store.put(
            NODES,
            json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {},
                "status": {
                    "addresses": addresses,
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
                },
            }),
        );
    }

    /// Takes a node away.
    pub fn remove_node(&self, name: &str) {
        self.shared.store.remove(NODES, "", name);
    }

    /// Creates a certificate signing request with this name and `spec`, whoever its user is: it comes
    /// as the real one has it once somebody was authenticated.
    pub fn add_request(&self, name: &str, spec: &Value) {
        self.add_request_with(name, spec, &json!({}));
    }

    /// The same with a `status`: what somebody else has made of it.
    pub fn add_request_with(&self, name: &str, spec: &Value, status: &Value) {
        let object = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": name}, "spec": spec, "status": status,
        });
        self.shared.store.put(REQUESTS, object);
    }

    /// An object as it is now.
    pub fn object(&self, resource: &'static str, name: &str) -> Option<Value> {
        self.shared.store.get(resource, "", name).map(|object| Value::clone(&object))
    }

    /// All objects of a resource, by name.
    pub fn objects(&self, resource: &'static str) -> Vec<Value> {
        self.shared.store.all(resource).iter().map(|object| Value::clone(object)).collect()
    }

    /// Every version that an object has had since it was created, in order.
    pub fn history(&self, resource: &'static str, name: &str) -> Vec<Value> {
        self.shared.store.history(resource, name)
    }

    /// Waits until an object satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// When none did within [`DEADLINE`](crate::deadline::DEADLINE); the error names `what`.
    pub async fn wait_for(
        &self,
        what: &str,
        resource: &'static str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let mut changes = self.shared.store.changes();
        within(what, async {
            loop {
                let objects = self.shared.store.all(resource);
                if let Some(found) = objects.into_iter().find(|object| wanted(object)) {
                    return Ok(Value::clone(&found));
                }
                changes.changed().await?;
            }
        })
        .await?
    }

    /// Everything that was asked of it, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.recorder.all()
    }

    /// Waits until `wanted` is true of everything that was asked so far.
    ///
    /// # Errors
    /// When it wasn't within [`DEADLINE`](crate::deadline::DEADLINE); the error names `what`.
    pub async fn wait_for_requests(
        &self,
        what: &str,
        wanted: impl Fn(&[Recorded]) -> bool,
    ) -> anyhow::Result<()> {
        self.shared.recorder.wait_until(what, wanted).await
    }

    /// What a user may do, by the manifests.
    pub fn granted(&self, user: &User) -> std::collections::BTreeSet<Permission> {
        self.shared.rbac.granted(user)
    }
}

impl Drop for StandInApiServer {
    fn drop(&mut self) {
        // Sending fails only when the thread has already ended, by a panic.
        self.stop.take().map(|stop| stop.send(()));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// What every connection shares.
#[derive(Debug)]
struct ApiServer {
    rbac: Rbac,
    tokens: Tokens,
    store: Store,
    faults: Faults,
    recorder: Recorder,
    signer: Signer,
    hangups: watch::Sender<()>,
}
