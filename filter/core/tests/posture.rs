//! A policy that reads the verdict on the kubelet: what holds is the latest one, for every decision.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use chrono::DateTime;
use gatelet_core::{
    Call, Config, Gate, Headers, Peer, Reason, peer::PeerProperties, policy::Builtins,
    posture::Overall,
};
use gatelet_portable::test;
use serde_json::{Value, json};

/// A policy that allows what the kubelet's posture allows.
const POLICY: &str = r#"package kubelet.authz

default decision := false

decision if {
	input.endpoint == "containerLogs"
	data.posture.status == "pass"
}

decision if {
	input.endpoint == "metrics"
	not "4.2.1" in data.posture.failed
	data.posture.status != "unknown"
}
"#;

const LOGS: &str = "/containerLogs/default/web-0/app";

fn configuration(rego: &str) -> Value {
    json!({
        "policy": {"modules": {"a.rego": rego}},
        "posture": {"profile": "cis"},
    })
}

fn build(configuration: &Value) -> Result<Gate, String> {
    let config = Config::from_json(configuration.to_string().as_bytes());
    let config = config.map_err(|error| error.to_string())?;
    Gate::new(config, Builtins::Standard).map_err(|error| error.to_string())
}

fn ask(gate: &Gate, path: &str) -> (Reason, bool) {
    let properties = PeerProperties {
        mtls: Some(&[1]),
        subject: Some(b"CN=kube-apiserver-kubelet-client"),
        sha256: Some(&[b'0'; 64]),
        ..PeerProperties::default()
    };
    let lines = [(":method", "GET"), (":path", path), (":authority", "worker-1")]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let call = Call {
        headers: Headers::new(&lines),
        end_of_stream: true,
        peer: &Peer::from_properties(&properties, false),
        cluster: None,
        decision_id: "1",
    };
    let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
    let record: Value = serde_json::from_str(&answer.record).unwrap();
    let hit = record.pointer("/metrics/counter_server_query_cache_hit");
    (answer.reason, hit == Some(&json!(1)))
}

/// Asks until the decision is remembered in every way that there is.
fn settled(gate: &Gate, path: &str) -> Reason {
    let (first, _) = ask(gate, path);
    for _ in 0..3 {
        assert_eq!(ask(gate, path), (first, true), "{path}");
    }
    first
}

/// What a sound kubelet shows, but for anonymous requests and the read-only port.
fn configz(anonymous: bool, read_only_port: u16) -> Vec<u8> {
    let configuration = json!({
        "address": "127.0.0.1",
        "port": 10250,
        "readOnlyPort": read_only_port,
        "authentication": {
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
            "webhook": {"enabled": true},
            "anonymous": {"enabled": anonymous},
        },
        "authorization": {"mode": "Webhook"},
        "streamingConnectionIdleTimeout": "4h0m0s",
        "makeIPTablesUtilChains": true,
        "eventRecordQPS": 50,
        "rotateCertificates": true,
        "podPidsLimit": -1,
        "seccompDefault": false,
    });
    json!({"kubeletconfig": configuration}).to_string().into_bytes()
}

#[test]
fn a_remembered_decision_does_not_outlive_the_verdict() {
    let gate = build(&configuration(POLICY)).unwrap();
    let digest = gate.digest().to_owned();
    let sound = configz(false, 0);
    let noisy = configz(false, 10255);
    let open = configz(true, 0);
    let refused = Err("status 403".to_owned());
    assert_eq!(
        (settled(&gate, LOGS), settled(&gate, "/metrics")),
        (Reason::Denied, Reason::Denied)
    );
    for (note, answer, status, is_other, logs, metrics) in [
        ("sound", Ok(&sound), Overall::Pass, true, Reason::Allowed, Reason::Allowed),
        ("the same", Ok(&sound), Overall::Pass, false, Reason::Allowed, Reason::Allowed),
        ("only a warning", Ok(&noisy), Overall::Pass, true, Reason::Allowed, Reason::Allowed),
        ("open", Ok(&open), Overall::Fail, true, Reason::Denied, Reason::Denied),
        ("sound again", Ok(&sound), Overall::Pass, true, Reason::Allowed, Reason::Allowed),
        ("no answer", refused, Overall::Unknown, true, Reason::Denied, Reason::Denied),
        ("sound at last", Ok(&sound), Overall::Pass, true, Reason::Allowed, Reason::Allowed),
    ] {
        let news = gate.judge(answer.map(Vec::as_slice)).unwrap();
        assert_eq!((news.verdict.status, news.is_other), (status, is_other), "{note}");
        assert_eq!(news.why.is_some(), status == Overall::Unknown, "{note}");
        assert_eq!((settled(&gate, LOGS), settled(&gate, "/metrics")), (logs, metrics), "{note}");
        assert_eq!(gate.digest(), digest, "{note}");
    }
    // What hasn't changed is remembered still.
    gate.judge(Ok(&sound)).unwrap();
    assert_eq!(ask(&gate, LOGS), (Reason::Allowed, true));
}

#[test]
fn the_verdict_changes_nothing_of_the_policys_own_data() {
    let mut configuration = configuration(
        "package kubelet.authz\n\ndecision if {\n\tdata.open == true\n\tdata.posture.profile == \"cis\"\n}\n",
    );
    configuration["policy"]["data"] = json!({"open": true});
    let gate = build(&configuration).unwrap();
    assert_eq!(ask(&gate, LOGS).0, Reason::Allowed);
    gate.judge(Ok(&configz(true, 0))).unwrap();
    assert_eq!(ask(&gate, LOGS).0, Reason::Allowed);
}

#[test]
fn a_policy_without_a_verdict_is_refused_if_it_reads_one() {
    for read in [
        "decision if data.posture.status == \"pass\"",
        "decision if not data.posture.failed",
        "decision if { some id in data.posture.failed; id != \"\" }",
        "decision if data[\"posture\"].status == \"pass\"",
        "import data.posture as kubelet\n\ndecision if kubelet.status == \"pass\"",
        "decision if data.posture",
    ] {
        let rego = format!("package kubelet.authz\n\n{read}\n");
        let error = build(&json!({"policy": {"modules": {"a.rego": rego}}})).unwrap_err();
        assert!(
            error.starts_with("the policy reads `data.posture`, and nobody looks at the kubelet's posture\n --> a.rego:"),
            "{read}\n{error}"
        );
        assert!(build(&configuration(&rego)).is_ok(), "{read}");
    }
    let rego = "package kubelet.authz\n\ndecision if data.postures == input.posture\n";
    assert!(build(&json!({"policy": {"modules": {"a.rego": rego}}})).is_ok());
}

#[test]
fn nothing_else_stands_where_the_verdict_is() {
    let reads = "package kubelet.authz\n\ndecision if data.posture.status == \"pass\"\n";
    let mut data = configuration(reads);
    data["policy"]["data"] = json!({"posture": {"status": "pass"}});
    let mut unwatched = data.clone();
    unwatched.as_object_mut().unwrap().remove("posture");
    let mut rule = configuration(reads);
    rule["policy"]["modules"]["b.rego"] = json!("package posture\n\nstatus := \"pass\"\n");
    let mut below = configuration(reads);
    below["policy"]["modules"]["b.rego"] = json!("package posture.mine\n\nstatus := \"pass\"\n");
    for (configuration, says) in [
        (data, "the data has a value at `data.posture`"),
        (unwatched, "the data has a value at `data.posture`"),
        (rule, "the rule `data.posture.status` is at `data.posture`"),
        (below, "the rule `data.posture.mine.status` is at `data.posture`"),
    ] {
        let error = build(&configuration).unwrap_err();
        assert!(error.starts_with(says), "{error}");
    }
    assert!(build(&configuration(reads)).is_ok());
}

#[test]
fn a_watch_that_makes_no_sense_is_refused() {
    for (posture, profile, says) in [
        (json!({}), "kubelet", "missing field `profile`"),
        (json!({"profile": "pci"}), "kubelet", "unknown variant `pci`"),
        (json!({"profile": "cis", "intervall": 5}), "kubelet", "unknown field `intervall`"),
        (json!({"profile": "cis", "interval_s": 0}), "kubelet", "invalid value: integer `0`"),
        (json!({"profile": "cis", "interval_s": 3601}), "kubelet", "`posture.interval_s` is 3601"),
        (json!({"profile": "cis", "cluster": ""}), "kubelet", "`posture.cluster` is empty"),
        (json!({"profile": "cis"}), "http", "`posture` has no meaning in profile `http`"),
    ] {
        let configuration = json!({"profile": profile, "policy": {}, "posture": posture});
        let error = build(&configuration).unwrap_err();
        assert!(error.contains(says), "{posture} {error}");
    }
    let whole = json!({"profile": "owned", "cluster": "other", "interval_s": 3600});
    let mut configuration = configuration(POLICY);
    configuration["posture"] = whole;
    assert!(build(&configuration).is_ok());
}

#[test]
fn a_gate_that_is_not_to_look_has_no_verdict() {
    let rego = "package kubelet.authz\n\ndecision := true\n";
    let gate = build(&json!({"policy": {"modules": {"a.rego": rego}}})).unwrap();
    assert_eq!(gate.judge(Ok(&configz(false, 0))), None);
}
