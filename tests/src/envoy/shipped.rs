//! The shipped configurations, with nothing replaced but addresses.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

/// A configuration as it is shipped.
#[derive(Clone, Debug)]
pub struct Shipped(Value);

impl Shipped {
    /// Reads one.
    ///
    /// # Errors
    /// When it can't be read; the error names it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self(serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?))
    }

    /// Lets the system pick every listener's port. One on a Unix socket has none.
    ///
    /// # Errors
    /// When a listener has neither.
    pub fn listen_on_free_ports(&mut self) -> anyhow::Result<()> {
        for listener in self.resources("listeners")? {
            if listener.pointer("/address/pipe").is_some() {
                continue;
            }
            replace(listener, "/address/socket_address/port_value", json!(0))?;
        }
        Ok(())
    }

    /// Moves the only endpoint of a cluster.
    ///
    /// # Errors
    /// When there is no such cluster, or it has no endpoint at an address.
    pub fn move_endpoint(&mut self, cluster: &str, to: SocketAddr) -> anyhow::Result<()> {
        let mut clusters = self.resources("clusters")?.iter_mut();
        let found = clusters.find(|found| found.get("name") == Some(&json!(cluster)));
        replace(
            found.with_context(|| format!("no cluster {cluster}"))?,
            "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address",
            json!({"address": to.ip(), "port_value": to.port()}),
        )
    }

    /// Everything, for a test that has to change more.
    pub fn as_json(&mut self) -> &mut Value {
        &mut self.0
    }

    /// Writes it as JSON, which Envoy reads like YAML, and scripts line by line as they read that.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, format!("{:#}", self.0)).with_context(|| path.display().to_string())
    }

    fn resources(&mut self, kind: &str) -> anyhow::Result<&mut Vec<Value>> {
        let resources = self.0.pointer_mut(&format!("/static_resources/{kind}"));
        resources.and_then(Value::as_array_mut).with_context(|| format!("no {kind}"))
    }
}

/// Replaces what is there; a path to nowhere is an error.
fn replace(within: &mut Value, pointer: &str, value: Value) -> anyhow::Result<()> {
    *within.pointer_mut(pointer).with_context(|| format!("nothing at {pointer}"))? = value;
    Ok(())
}
