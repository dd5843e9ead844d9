//! An API server, a decision log and the nodes' kubelets, as far as the controller sees them.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use gatelet_core::csr::{Answer, Call, Controller, Count, Destination, Effect, Failure, Response};
use serde_json::{Value, json};

/// See the module. It answers at once, in the order of the calls.
#[derive(Default)]
pub(crate) struct Api {
    pub(crate) now: DateTime<Utc>,
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) nodes: BTreeMap<String, Value>,
    /// The percent-encoded certificates that kubelets serve, by address and port.
    pub(crate) certificates: BTreeMap<String, String>,
    /// Answers that are given instead, once each, to calls of this method whose path has this part.
    pub(crate) faults: VecDeque<(&'static str, &'static str, Answer)>,
    /// What becomes of the answer to the next approval, which is carried out.
    pub(crate) lost: Option<Answer>,
    pub(crate) asked: Vec<String>,
    pub(crate) reviews: Vec<Value>,
    pub(crate) records: Vec<Value>,
    pub(crate) events: Vec<Value>,
    pub(crate) counts: BTreeMap<Count, usize>,
    pub(crate) warnings: Vec<String>,
    version: u64,
}

impl Api {
    pub(crate) fn new() -> Self {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        Self { now, ..Self::default() }
    }

    pub(crate) fn create(&mut self, name: &str, spec: &Value) {
        self.version += 1;
        let object = json!({
            "metadata": {
                "name": name, "uid": format!("uid-{name}"),
                "resourceVersion": self.version.to_string(),
                "creationTimestamp": self.now, "unknown": {"kept": true},
            },
            "spec": spec,
            "status": {},
        });
        self.objects.insert(name.to_owned(), object);
    }

    pub(crate) fn fail(&mut self, method: &'static str, part: &'static str, answer: Answer) {
        self.faults.push_back((method, part, answer));
    }

    /// Lets time pass in steps, and answers every call.
    pub(crate) fn run(&mut self, controller: &mut Controller, time: TimeDelta) {
        let end = self.now + time;
        while self.now < end {
            self.now += TimeDelta::milliseconds(200);
            let effects = controller.tick(self.now);
            self.serve(controller, effects);
        }
    }

    pub(crate) fn serve(&mut self, controller: &mut Controller, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Call(call) => {
                    let answer = self.answer(&call);
                    effects.extend(controller.answer(call.id, answer, self.now));
                }
                Effect::Count(count) => *self.counts.entry(count).or_default() += 1,
                Effect::Latency(_) => {}
                Effect::Warn(message) => self.warnings.push(message),
            }
        }
    }

    pub(crate) fn count(&self, count: Count) -> usize {
        self.counts.get(&count).copied().unwrap_or(0)
    }

    /// `approve`, `deny`, or nothing, with the message.
    pub(crate) fn condition(&self, name: &str) -> Option<(&str, &str)> {
        let condition = self.objects[name].pointer("/status/conditions/0")?;
        Some((condition["type"].as_str()?, condition["message"].as_str()?))
    }

    /// The last decision on record.
    pub(crate) fn record(&self, name: &str) -> &Value {
        let of_it = |record: &&Value| record["input"]["name"] == name;
        let found = self.records.iter().rev().find(of_it);
        found.unwrap_or_else(|| panic!("{name} is not on record: {:?}", self.warnings))
    }

    pub(crate) fn answer(&mut self, call: &Call) -> Answer {
        self.asked.push(format!("{} {}", call.method, call.path));
        let fault = self
            .faults
            .iter()
            .position(|(method, part, _)| *method == call.method && call.path.contains(part));
        if let Some((_, _, answer)) = fault.and_then(|index| self.faults.remove(index)) {
            return answer;
        }
        match &call.to {
            Destination::ApiServer => self.api_server(call),
            Destination::DecisionLog(line) => {
                assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
                self.records.push(serde_json::from_str(line).unwrap());
                status(204, &Value::Null)
            }
            Destination::Kubelet(address) => match self.certificates.get(address) {
                Some(certificate) => Ok(Response {
                    status: 401,
                    peer_certificate: Some(certificate.clone()),
                    ..Response::default()
                }),
                None => Err(Failure::Unanswered),
            },
        }
    }

    fn api_server(&mut self, call: &Call) -> Answer {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let body = call.body.as_ref().map(|body| serde_json::from_slice(body).unwrap());
        let body: Value = body.unwrap_or_default();
        let segments: Vec<_> = path.split('/').collect();
        match (call.method, segments.as_slice()) {
            ("GET", [.., "certificatesigningrequests"]) if query.contains("watch=1") => {
                Ok(Response { status: 200, ..Response::default() })
            }
            ("GET", [.., "certificatesigningrequests"]) => {
                let parameter = |name: &str| {
                    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                };
                let limit: usize = parameter("limit").unwrap().parse().unwrap();
                let begin: usize = parameter("continue").map_or(0, |token| token.parse().unwrap());
                let signer = parameter("fieldSelector").unwrap().replace("%2F", "/");
                let signer = signer.strip_prefix("spec.signerName%3D").unwrap();
                let of_signer =
                    self.objects.values().filter(|object| object["spec"]["signerName"] == signer);
                let all: Vec<_> = of_signer.collect();
                let items: Vec<_> = all.iter().skip(begin).take(limit).collect();
                let next = begin + items.len();
                let token = if next < all.len() { next.to_string() } else { String::new() };
                let metadata =
                    json!({"resourceVersion": self.version.to_string(), "continue": token});
                status(200, &json!({"metadata": metadata, "items": items}))
            }
            ("GET", [.., "certificatesigningrequests", name]) => found(self.objects.get(*name)),
            ("GET", [.., "nodes", name]) => found(self.nodes.get(*name)),
            ("POST", [.., "subjectaccessreviews"]) => {
                // As the bootstrap roles have it.
                let group = match body["spec"]["resourceAttributes"]["subresource"].as_str() {
                    Some("nodeclient") => "system:bootstrappers:kubeadm:default-node-token",
                    _ => "system:nodes",
                };
                let groups = body["spec"]["groups"].as_array();
                let allowed = groups.unwrap().contains(&json!(group));
                self.reviews.push(body);
                status(201, &json!({"status": {"allowed": allowed}}))
            }
            ("POST", [.., "events"]) => {
                self.events.push(body.clone());
                status(201, &body)
            }
            ("PUT", [.., name, "approval"]) => {
                let Some(old) = self.objects.get_mut(*name) else {
                    return status(404, &Value::Null);
                };
                if old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                    return status(409, &json!({"message": "the object has been modified"}));
                }
                assert_eq!(old["spec"], body["spec"]);
                assert_eq!(old["metadata"], body["metadata"]);
                self.version += 1;
                *old = body.clone();
                old["metadata"]["resourceVersion"] = self.version.to_string().into();
                self.lost.take().unwrap_or_else(|| status(200, &body))
            }
            (method, _) => panic!("{method} {path}"),
        }
    }
}

pub(crate) fn status(status: u16, body: &Value) -> Answer {
    Ok(Response { status, body: body.to_string().into_bytes(), ..Response::default() })
}

fn found(object: Option<&Value>) -> Answer {
    object
        .map_or_else(|| status(404, &json!({"message": "not found"})), |object| status(200, object))
}
