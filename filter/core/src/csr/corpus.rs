//! The corpus of certificate signing requests, `tests/csrs.json`: requests as data, each with the verdict
//! it must get.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Input, Node, api, controller::read_request, input::Facts, object::Object, work::node_name,
};
use crate::policy::value;

/// Requests, and the nodes that they are from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// The addresses of each node, by type.
    pub nodes: BTreeMap<String, Vec<(String, String)>>,
    /// What an inventory has of each node.
    pub inventory: Value,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A request and its verdicts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is special about it.
    pub note: String,
    /// The object's `spec`.
    pub spec: Value,
    /// By preset, the verdict, and the rule that says so after a blank.
    pub want: BTreeMap<String, String>,
}

impl Corpus {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not of this form.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// What a policy sees of a request that was made just now, whose user may do all that is asked, and
    /// whose kubelet isn't reached.
    ///
    /// # Errors
    /// When the `spec` is none.
    pub fn input(
        &self,
        case: &Case,
        now: DateTime<Utc>,
    ) -> Result<regorus::Value, serde_json::Error> {
        let metadata = json!({"name": "csr", "creationTimestamp": now});
        let object: Object =
            serde_json::from_value(json!({"metadata": metadata, "spec": case.spec}))?;
        let mut facts = Facts::default();
        match read_request(&object.spec.request) {
            Ok(request) => {
                let name = node_name(request.subject.common_name.as_deref());
                facts.node = name.map(|name| self.node(name, now));
                let asked = api::subresources(&object.spec.signer_name, None);
                facts.access = asked.into_keys().map(|name| (name, true)).collect();
                facts.request = Some(request);
            }
            Err(why) => facts.malformed = Some(why.to_string()),
        }
        value::to_value(&Input::new(&object, &facts, now)).map_err(serde::de::Error::custom)
    }

    fn node(&self, name: &str, now: DateTime<Utc>) -> Node {
        let addresses = self.nodes.get(name).map(|addresses| {
            let address =
                |(kind, address): &(String, String)| json!({"type": kind, "address": address});
            addresses.iter().map(address).collect::<Vec<_>>()
        });
        let node = addresses.and_then(|addresses| {
            let object = json!({"metadata": {"name": name}, "status": {"addresses": addresses}});
            Node::from_json(name, object.to_string().as_bytes(), now)
        });
        node.unwrap_or_else(|| Node::absent(name))
    }
}
