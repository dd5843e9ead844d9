//! Whole requests: what is read, and what is refused for which reason.

use serde_json::{Value, json};

use super::*;
use crate::peer::Peer;

const WEBSOCKET: &[(&str, &str)] = &[
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const SPDY: &[(&str, &str)] = &[
    ("upgrade", "SPDY/3.1"),
    ("connection", "Upgrade"),
    ("x-stream-protocol-version", "v5.channel.k8s.io"),
    ("x-stream-protocol-version", "v4.channel.k8s.io"),
];
const FORWARD: &[(&str, &str)] = &[
    ("upgrade", "SPDY/3.1"),
    ("connection", "Upgrade"),
    ("x-stream-protocol-version", "portforward.k8s.io"),
];

fn parse_with_end(
    method: &str,
    target: &str,
    lines: &[(&str, &str)],
    end_of_stream: bool,
) -> Result<Request, Refusal> {
    let target = [(":method", method), (":path", target), (":authority", "worker-1:10250")];
    let lines: Vec<_> = target
        .iter()
        .chain(lines)
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    Request::parse(Headers::new(&lines), end_of_stream)
}

fn parse(method: &str, target: &str, lines: &[(&str, &str)]) -> Result<Request, Refusal> {
    parse_with_end(method, target, lines, lines.iter().all(|(name, _)| *name != "upgrade"))
}

fn input(method: &str, target: &str, lines: &[(&str, &str)]) -> Value {
    let request = parse(method, target, lines).unwrap_or_else(|e| panic!("{target}: {e}"));
    let node = Node { name: Some("worker-1".to_owned()) };
    let peer = Peer::default();
    serde_json::to_value(Input::new(&request, &peer, false, &node)).unwrap()
}

#[test]
fn the_input_document_is_the_contract_s() {
    let target = "/exec/default/web-0/app?command=sh&command=-c&command=id&input=1&output=1&error=1&env=A=b=c";
    let lines = [SPDY, &[("user-agent", "kubectl/v1.33")]].concat();
    assert_eq!(
        input("POST", target, &lines),
        json!({
            "schema": "gatelet/v1",
            "method": "POST",
            "path": "/exec/default/web-0/app",
            "endpoint": "exec",
            "namespace": "default",
            "pod": "web-0",
            "container": "app",
            "exec": {
                "command": ["sh", "-c", "id"],
                "stdin": true, "stdout": true, "stderr": true, "tty": false,
                "env": {"A": "b=c"},
            },
            "upgrade": "spdy",
            "protocols": ["v5.channel.k8s.io", "v4.channel.k8s.io"],
            "query": {
                "command": ["sh", "-c", "id"],
                "input": ["1"], "output": ["1"], "error": ["1"], "env": ["A=b=c"],
            },
            "authorization": {"verb": "create", "resource": "nodes", "subresources": ["proxy"]},
            "peer": {
                "authenticated": false, "common_name": null, "organizations": [], "subject": null,
                "uri_san": null, "dns_san": null, "certificate_sha256": null, "address": null,
                "bearer_token": false,
            },
            "user_agent": "kubectl/v1.33",
            "node": {"name": "worker-1"},
        })
    );
}

#[test]
fn every_endpoint_has_its_object() {
    let logs = json!({
        "follow": true, "previous": false, "timestamps": false, "since_seconds": null,
        "since_time": "2026-01-01T00:00:00Z", "tail_lines": 0, "limit_bytes": null, "stream": "Stdout",
    });
    let node_logs = json!({
        "path": "", "query": ["kubelet", "/pods/x.log"], "since_time": null, "until_time": null,
        "tail_lines": 10, "boot": -1, "pattern": "a.*b",
    });
    for (method, target, lines, endpoint, object) in [
        (
            "GET",
            "/exec/a/b/c?command=id&output=1&error=1&tty=1",
            WEBSOCKET,
            "exec",
            json!({"exec": {
            "command": ["id"], "stdin": false, "stdout": true, "stderr": false, "tty": true, "env": {}}}),
        ),
        (
            "POST",
            "/attach/a/b/c?output=1",
            SPDY,
            "attach",
            json!({"attach": {
            "stdin": false, "stdout": true, "stderr": false, "tty": false}}),
        ),
        (
            "POST",
            "/run/a/b/c?cmd=ls++-l",
            &[],
            "run",
            json!({"run": {"command": ["ls", "", "-l"]}}),
        ),
        (
            "POST",
            "/portForward/a/b",
            FORWARD,
            "portForward",
            json!({"port_forward": {"ports": [], "ports_in_stream": true}}),
        ),
        (
            "GET",
            "/portForward/a/b?port=80,443&port=8080",
            WEBSOCKET,
            "portForward",
            json!({"port_forward": {"ports": [80, 443, 8080], "ports_in_stream": false}}),
        ),
        (
            "GET",
            "/containerLogs/a/b/c?follow=true&previous=false&sinceTime=2026-01-01T00:00:00Z&tailLines=0&stream=Stdout",
            &[],
            "containerLogs",
            json!({"logs": logs}),
        ),
        (
            "POST",
            "/checkpoint/a/b/c?timeout=5",
            &[],
            "checkpoint",
            json!({"checkpoint": {"timeout_seconds": 5}}),
        ),
        ("GET", "/pods", &[], "pods", json!({})),
        ("GET", "/runningpods/", &[], "runningPods", json!({})),
        (
            "GET",
            "/logs/?query=kubelet&query=/pods/x.log&tailLines=10&boot=-1&pattern=a.*b",
            &[],
            "nodeLogs",
            json!({"node_logs": node_logs}),
        ),
        ("GET", "/metrics", &[], "metrics", json!({"metrics": {"source": "kubelet"}})),
        ("GET", "/metrics/cadvisor", &[], "metrics", json!({"metrics": {"source": "cadvisor"}})),
        ("GET", "/metrics/resource", &[], "metrics", json!({"metrics": {"source": "resource"}})),
        ("GET", "/metrics/probes", &[], "metrics", json!({"metrics": {"source": "probes"}})),
        ("DELETE", "/metrics/slis", &[], "metrics", json!({"metrics": {"source": "slis"}})),
        (
            "GET",
            "/stats/summary?only_cpu_and_memory=true",
            &[],
            "stats",
            json!({"stats": {"only_cpu_and_memory": true}}),
        ),
        (
            "GET",
            "/healthz/syncloop?verbose&exclude=ping",
            &[],
            "healthz",
            json!({"healthz": {"check": "syncloop", "verbose": true, "exclude": ["ping"]}}),
        ),
        ("GET", "/configz", &[], "configz", json!({})),
        ("GET", "/flagz", &[], "flagz", json!({})),
        ("GET", "/statusz", &[], "statusz", json!({})),
        (
            "GET",
            "/debug/pprof/heap?debug=1",
            &[],
            "debug",
            json!({"debug": {"kind": "pprof", "name": "heap"}}),
        ),
        ("PUT", "/debug/flags/v", &[], "debug", json!({"debug": {"kind": "flags", "name": "v"}})),
    ] {
        let input = input(method, target, lines);
        assert_eq!(input["endpoint"], endpoint, "{target}");
        for (key, value) in object.as_object().unwrap() {
            assert_eq!(&input[key], value, "{target}: {key}");
        }
    }
}

#[test]
fn the_authorization_is_what_the_kubelet_would_ask() {
    for (method, target, verb, subresources) in [
        ("GET", "/pods", "get", json!(["pods", "proxy"])),
        ("GET", "/configz", "get", json!(["configz", "proxy"])),
        ("GET", "/statusz", "get", json!(["statusz", "proxy"])),
        ("GET", "/flagz", "get", json!(["proxy"])),
        ("GET", "/metrics/slis", "get", json!(["metrics"])),
        ("DELETE", "/metrics/slis", "delete", json!(["metrics"])),
        ("POST", "/stats/summary", "create", json!(["stats"])),
        ("GET", "/logs/", "get", json!(["log"])),
        ("PUT", "/debug/flags/v", "update", json!(["proxy"])),
        ("POST", "/checkpoint/a/b/c", "create", json!(["checkpoint"])),
        ("GET", "/containerLogs/a/b/c", "get", json!(["proxy"])),
    ] {
        let input = input(method, target, &[]);
        assert_eq!(input["authorization"]["verb"], verb, "{target}");
        assert_eq!(input["authorization"]["subresources"], subresources, "{target}");
    }
}

#[test]
fn a_request_timeout_is_taken_and_not_shown() {
    let input = input("GET", "/containerLogs/a/b/c?tailLines=1&timeout=30s", &[]);
    assert_eq!(input["query"], json!({"tailLines": ["1"]}));
    assert!(parse("GET", "/pods?timeout=1m0.5s", &[]).is_ok());
    for target in ["/pods?timeout=", "/pods?timeout=x", "/pods?timeout=1s&timeout=2s"] {
        assert!(matches!(parse("GET", target, &[]), Err(Refusal::Malformed(_))), "{target}");
    }
    let exec = parse("GET", "/exec/a/b/c?command=id&timeout=30s", WEBSOCKET);
    assert_eq!(exec, Err(query(InvalidQuery::Unknown("timeout".to_owned()))));
}

#[test]
fn what_the_kubelet_does_not_have_is_unknown() {
    for target in [
        "/",
        "/Exec/a/b/c",
        "/EXEC/a/b/c",
        "/portforward/a/b",
        "/containerlogs/a/b/c",
        "/runningPods",
        "/execfoo/a/b/c",
        "/exec",
        "/exec/a/b",
        "/exec/a/b/uid/c",
        "/exec/a/b/u/c/x",
        "/attach/a/b/u/c",
        "/run/a/b/u/c",
        "/portForward/a/b/u",
        "/cri/exec/TOKEN",
        "/spec",
        "/stats",
        "/stats/container",
        "/metrics/foo",
        "/runningpods",
        "/logs",
        "/debug/pprof",
        "/debug/flags",
        "/debug/flags/x",
        "/healthz/a/b",
        "/healthz/A",
        "/containerLogs/a/b/u/c",
    ] {
        assert_eq!(parse("GET", target, &[]), Err(Refusal::UnknownEndpoint), "{target}");
    }
    assert!(parse("GET", "/pods", &[]).is_ok());
}

#[test]
fn a_method_that_the_endpoint_does_not_have_is_refused() {
    for (method, target) in [
        ("HEAD", "/exec/a/b/c"),
        ("OPTIONS", "/exec/a/b/c"),
        ("PUT", "/exec/a/b/c"),
        ("PATCH", "/exec/a/b/c"),
        ("get", "/exec/a/b/c"),
        ("FOO", "/exec/a/b/c"),
        ("", "/exec/a/b/c"),
        ("GET", "/run/a/b/c?cmd=id"),
        ("GET", "/checkpoint/a/b/c"),
        ("POST", "/containerLogs/a/b/c"),
        ("POST", "/pods"),
        ("HEAD", "/metrics"),
        ("OPTIONS", "/metrics"),
        ("POST", "/metrics"),
        ("DELETE", "/metrics"),
        ("POST", "/configz"),
        ("POST", "/healthz/syncloop"),
        ("GET", "/debug/flags/v"),
        ("POST", "/debug/pprof/symbol"),
    ] {
        assert_eq!(parse(method, target, &[]), Err(Refusal::Method), "{method} {target}");
    }
    assert!(parse("DELETE", "/metrics/slis", &[]).is_ok());
}

#[test]
fn names_are_those_of_kubernetes() {
    for target in [
        "/exec/A/b/c",
        "/exec/a/B/c",
        "/exec/a/b/C",
        "/exec/a/b_/c",
        "/exec/a.b/p/c",
        "/exec/a/b/c.d",
    ] {
        assert_eq!(parse("GET", target, WEBSOCKET), Err(Malformed::Name.into()), "{target}");
    }
    assert!(parse("GET", "/exec/a/b.c/d?command=id", WEBSOCKET).is_ok());
}

fn query(error: InvalidQuery) -> Refusal {
    Malformed::Query(error).into()
}

#[test]
fn parameters_have_one_form() {
    use InvalidQuery::{Form, Missing, Repeated, Unknown};
    let unknown = |key: &str| Unknown(key.to_owned());
    for (method, target, lines, want) in [
        ("GET", "/exec/a/b/c?Command=id", WEBSOCKET, unknown("Command")),
        ("GET", "/exec/a/b/c?stdin=1", WEBSOCKET, unknown("stdin")),
        ("GET", "/exec/a/b/c?tty=0", WEBSOCKET, Form("tty")),
        ("GET", "/exec/a/b/c?output=true", WEBSOCKET, Form("output")),
        ("GET", "/exec/a/b/c?tty=1&tty=1", WEBSOCKET, Repeated("tty")),
        ("GET", "/exec/a/b/c?env=A", WEBSOCKET, Form("env")),
        ("GET", "/exec/a/b/c?env==b", WEBSOCKET, Form("env")),
        ("GET", "/exec/a/b/c?env=A=1&env=A=2", WEBSOCKET, Form("env")),
        ("GET", "/attach/a/b/c?command=id", WEBSOCKET, unknown("command")),
        ("POST", "/run/a/b/c", &[], Missing("cmd")),
        ("POST", "/run/a/b/c?cmd=ls&cmd=evil", &[], Repeated("cmd")),
        ("POST", "/run/a/b/c?command=ls", &[], unknown("command")),
        ("POST", "/portForward/a/b?port=80", FORWARD, Form("port")),
        ("GET", "/portForward/a/b", WEBSOCKET, Missing("port")),
        ("GET", "/portForward/a/b?port=0", WEBSOCKET, Form("port")),
        ("GET", "/portForward/a/b?port=65536", WEBSOCKET, Form("port")),
        ("GET", "/portForward/a/b?port=080", WEBSOCKET, Form("port")),
        ("GET", "/portForward/a/b?port=80,", WEBSOCKET, Form("port")),
        ("GET", "/portForward/a/b?port=80&port=80", WEBSOCKET, Form("port")),
        ("GET", "/containerLogs/a/b/c?follow=no", &[], Form("follow")),
        ("GET", "/containerLogs/a/b/c?follow=", &[], Form("follow")),
        ("GET", "/containerLogs/a/b/c?follow=TRUE", &[], Form("follow")),
        ("GET", "/containerLogs/a/b/c?previous=0", &[], Form("previous")),
        ("GET", "/containerLogs/a/b/c?tail=all", &[], unknown("tail")),
        ("GET", "/containerLogs/a/b/c?tailLines=-1", &[], Form("tailLines")),
        ("GET", "/containerLogs/a/b/c?tailLines=%2B1", &[], Form("tailLines")),
        ("GET", "/containerLogs/a/b/c?tailLines=01", &[], Form("tailLines")),
        ("GET", "/containerLogs/a/b/c?tailLines=9223372036854775808", &[], Form("tailLines")),
        ("GET", "/containerLogs/a/b/c?sinceSeconds=0", &[], Form("sinceSeconds")),
        ("GET", "/containerLogs/a/b/c?sinceTime=yesterday", &[], Form("sinceTime")),
        ("GET", "/containerLogs/a/b/c?sinceTime=2026-01-01t00:00:00z", &[], Form("sinceTime")),
        ("GET", "/containerLogs/a/b/c?sinceTime=2016-12-31T23:59:60Z", &[], Form("sinceTime")),
        (
            "GET",
            "/containerLogs/a/b/c?sinceTime=2026-01-01T00:00:00Z&sinceSeconds=1",
            &[],
            Form("sinceTime"),
        ),
        ("GET", "/containerLogs/a/b/c?stream=stdout", &[], Form("stream")),
        ("GET", "/pods?fieldSelector=x", &[], unknown("fieldSelector")),
        ("GET", "/logs/?query=a&query=b&query=c&query=d&query=e", &[], Form("query")),
        ("GET", "/logs/?query=", &[], Form("query")),
        ("GET", "/logs/?query=+&query=kubelet", &[], Form("query")),
        ("GET", "/logs/?query=/", &[], Form("query")),
        ("GET", "/logs/?query=pods/x.log", &[], Form("query")),
        ("GET", "/logs/?query=/pods/../syslog", &[], Form("query")),
        ("GET", "/logs/?query=/./syslog", &[], Form("query")),
        ("GET", "/logs/?query=//syslog", &[], Form("query")),
        ("GET", "/logs/?query=/pods/", &[], Form("query")),
        ("GET", "/logs/?query=%5Csyslog", &[], Form("query")),
        ("GET", "/logs/?query=/pods%5Cx.log", &[], Form("query")),
        ("GET", "/logs/?query=kubelet&pattern=", &[], Form("pattern")),
        ("GET", "/logs/?boot=1", &[], Form("boot")),
        ("GET", "/logs/?tailLines=100001", &[], Form("tailLines")),
        ("GET", "/healthz?verbose=false", &[], Form("verbose")),
        ("GET", "/stats/summary?only_cpu_and_memory=1", &[], Form("only_cpu_and_memory")),
        ("GET", "/debug/pprof/profile?seconds=-1", &[], Form("seconds")),
    ] {
        assert_eq!(parse(method, target, lines), Err(query(want)), "{target}");
    }
}

#[test]
fn a_body_is_refused_however_it_is_announced() {
    for (line, want) in [
        (("transfer-encoding", "chunked"), Malformed::Body("transfer-encoding")),
        (("expect", "100-continue"), Malformed::Body("expect")),
        (("trailer", "x"), Malformed::Body("trailer")),
        (("content-length", "7"), Malformed::Body("content-length")),
        (("content-length", "00"), Malformed::Body("content-length")),
        (("content-length", "+0"), Malformed::Body("content-length")),
        (("content-length", ""), Malformed::Body("content-length")),
    ] {
        for (target, lines) in [("/exec/a/b/c?command=id", SPDY), ("/stats/summary", &[])] {
            let lines = [lines, &[line]].concat();
            assert_eq!(parse("POST", target, &lines), Err(want_of(&want)), "{line:?} {target}");
        }
    }
    let form = [SPDY, &[("content-type", "application/x-www-form-urlencoded")]].concat();
    assert_eq!(
        parse("POST", "/exec/a/b/c?command=id", &form),
        Err(Malformed::Body("content-type").into())
    );
    assert_eq!(
        parse_with_end("POST", "/run/a/b/c?cmd=id", &[], false),
        Err(Malformed::Body("data").into())
    );
    assert!(
        parse("POST", "/exec/a/b/c?command=id", &[SPDY, &[("content-length", "0")]].concat())
            .is_ok()
    );
}

fn want_of(malformed: &Malformed) -> Refusal {
    match malformed {
        Malformed::Body(name) => Malformed::Body(name).into(),
        other => panic!("{other}"),
    }
}

#[test]
fn streams_are_upgrades_and_nothing_else_is() {
    for (target, lines, want) in [
        ("/exec/a/b/c?command=id", &[][..], InvalidUpgrade::Missing),
        ("/portForward/a/b", SPDY, InvalidUpgrade::Protocols),
        ("/exec/a/b/c?command=id", FORWARD, InvalidUpgrade::Protocols),
        ("/healthz", WEBSOCKET, InvalidUpgrade::Unwanted),
        ("/logs/x", WEBSOCKET, InvalidUpgrade::Unwanted),
        ("/metrics", SPDY, InvalidUpgrade::Unwanted),
    ] {
        assert_eq!(parse("GET", target, lines), Err(Malformed::Upgrade(want).into()), "{target}");
    }
}

#[test]
fn there_is_one_authority() {
    let parse = |lines: &[(&str, &str)]| {
        let lines: Vec<_> =
            lines.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        Request::parse(Headers::new(&lines), true)
    };
    let (method, path) = ((":method", "GET"), (":path", "/pods"));
    assert!(parse(&[method, path, (":authority", "[::1]:10250")]).is_ok());
    assert_eq!(parse(&[method, path]), Err(Malformed::Authority.into()));
    for authority in ["", "a,b", "a b"] {
        let lines = [method, path, (":authority", authority)];
        assert_eq!(parse(&lines), Err(Malformed::Authority.into()), "{authority:?}");
    }
    assert_eq!(parse(&[path, (":authority", "a")]), Err(Malformed::NoTarget.into()));
    assert_eq!(parse(&[method, (":authority", "a")]), Err(Malformed::NoTarget.into()));
}
