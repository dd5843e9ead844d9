//! The filter's core, natively: reading a request, making its document, deciding; and how decisions
//! cost with the size of a policy and of its data.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that can't run says why by panicking"
)]

use chrono::DateTime;
use divan::{Bencher, black_box};
use gatelet_bench::policies;
use gatelet_core::config::{Config, Written, WrittenPolicy};
use gatelet_core::kubelet::{Input, Node, Request};
use gatelet_core::peer::{Peer, PeerProperties};
use gatelet_core::policy::{Builtins, value};
use gatelet_core::{Call, Gate, Headers};
use serde_json::json;

fn main() {
    divan::main();
}

const LOGS: &str = "/containerLogs/default/web-0/app?tailLines=10";
const EXEC: &str = "/exec/default/web-0/app?command=id&error=1&output=1";
const DENIED: &str = "/containerLogs/kube-system/web-0/app?tailLines=10";

#[divan::bench(args = [LOGS, EXEC])]
fn parse(bencher: Bencher<'_, '_>, target: &str) {
    let lines = lines(target);
    bencher.bench_local(|| read(black_box(&lines)));
}

#[divan::bench(args = [LOGS, EXEC])]
fn document(bencher: Bencher<'_, '_>, target: &str) {
    let (request, peer, node) = (read(&lines(target)), caller(), Node::default());
    bencher.bench_local(|| value::to_value(&Input::new(&request, &peer, false, &node)).unwrap());
}

/// The shipped policy, and a request that was decided before.
#[divan::bench(args = [LOGS, EXEC, DENIED])]
fn remembered(bencher: Bencher<'_, '_>, target: &str) {
    let gate = gate(policies::shipped().unwrap());
    let lines = lines(target);
    bencher.bench_local(|| decide(&gate, &lines));
}

/// The shipped policy, and a request that wasn't.
#[divan::bench(args = [LOGS, EXEC, DENIED])]
fn shipped(bencher: Bencher<'_, '_>, target: &str) {
    first_time(bencher, policies::shipped().unwrap(), target);
}

/// A policy of one's own: what it allows is put to the interpreter, too.
#[divan::bench(args = [LOGS, EXEC, DENIED])]
fn own(bencher: Bencher<'_, '_>, target: &str) {
    first_time(bencher, policies::own(), target);
}

/// A rule for each namespace, the last of which applies.
#[divan::bench(args = [20, 200, 2000])]
fn rules(bencher: Bencher<'_, '_>, count: usize) {
    let mut rego = String::from(DECISION);
    for number in 1..count {
        rego.push_str(&format!("\nallow contains \"logs\" if input.namespace == \"n{number}\"\n"));
    }
    rego.push_str("\nallow contains \"logs\" if input.namespace == \"default\"\n");
    first_time(bencher, written(&rego, json!({})), LOGS);
}

/// The same as one rule over data that is a list: it is read up to the end.
#[divan::bench(args = [20, 200, 2000])]
fn list(bencher: Bencher<'_, '_>, count: usize) {
    let names: Vec<_> = (1..count).map(|n| format!("n{n}")).chain(["default".to_owned()]).collect();
    let rule =
        "\nallow contains \"logs\" if {\n\tsome name in data.names\n\tname == input.namespace\n}\n";
    first_time(bencher, written(&format!("{DECISION}{rule}"), json!({"names": names})), LOGS);
}

/// The same over data that is an object: one look. The last row is a megabyte of it.
#[divan::bench(args = [20, 200, 2000, 50_000])]
fn object(bencher: Bencher<'_, '_>, count: usize) {
    let names: serde_json::Map<_, _> = (1..count)
        .map(|n| (format!("namespace-{n}"), json!(true)))
        .chain([("default".to_owned(), json!(true))])
        .collect();
    let rule = "\nallow contains \"logs\" if data.names[input.namespace] == true\n";
    first_time(bencher, written(&format!("{DECISION}{rule}"), json!({"names": names})), LOGS);
}

const DECISION: &str = "package kubelet.authz\n\ndecision := {\"allow\": count(allow) > 0}\n";

/// Every request asks about a pod of its own.
fn first_time(bencher: Bencher<'_, '_>, written: Written, target: &str) {
    let gate = gate(written);
    let mut pod = 0;
    let next = || {
        pod += 1;
        lines(&target.replace("web-0", &format!("web-{pod}")))
    };
    bencher.with_inputs(next).bench_local_values(|lines| decide(&gate, &lines));
}

fn decide(gate: &Gate, lines: &[(String, Vec<u8>)]) -> String {
    let headers = Headers::new(lines);
    let peer = Ok(caller());
    let end_of_stream = !headers.has("upgrade");
    let call = Call { headers, end_of_stream, peer: &peer, cluster: None, decision_id: "1" };
    gate.decide(&call, || DateTime::UNIX_EPOCH).record
}

fn gate(mut written: Written) -> Gate {
    // Beyond the usual limits it would only be measured how fast a budget is spent.
    written.limits.instructions = 10_000_000.try_into().ok();
    written.limits.time_ms = 10_000.try_into().ok();
    let config = Config::try_from(written).unwrap_or_else(|error| panic!("{error}"));
    Gate::new(config, Builtins::Standard).unwrap_or_else(|error| panic!("{error}"))
}

fn written(rego: &str, data: serde_json::Value) -> Written {
    let modules = [("a.rego".to_owned(), rego.to_owned())].into();
    let data = data.as_object().cloned().unwrap_or_default();
    Written { policy: WrittenPolicy { modules, data, ..Default::default() }, ..Default::default() }
}

fn read(lines: &[(String, Vec<u8>)]) -> Request {
    let headers = Headers::new(lines);
    Request::parse(headers, !headers.has("upgrade")).unwrap()
}

fn lines(target: &str) -> Vec<(String, Vec<u8>)> {
    let is_exec = target.starts_with("/exec");
    let method = if is_exec { "POST" } else { "GET" };
    let mut lines = vec![
        (":method", method),
        (":path", target),
        (":authority", "worker-1:10250"),
        ("user-agent", "kube-apiserver/v1.36.2 (linux/amd64) kubernetes/0000000"),
        ("accept-encoding", "gzip"),
    ];
    if is_exec {
        lines.extend([
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ]);
    }
    lines.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}

fn caller() -> Peer {
    let properties = PeerProperties {
        mtls: Some(&[1]),
        subject: Some(b"CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"),
        sha256: Some(&[b'0'; 64]),
        ..PeerProperties::default()
    };
    Peer::from_properties(&properties, false).unwrap()
}
