//! `gatelet log`.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    log_lines::{Recorder, SPDY, ended, opened},
    support::{APISERVER, Run, done, folder, gatelet, write},
};

const POLICY: &str = r#"package kubelet.authz

default decision := {"allow": false, "reason": "nothing allows it"}

decision := {"allow": true, "rule": min(allow)} if count(allow) > 0

allow contains "metrics" if input.endpoint == "metrics"

allow contains "exec" if {
	input.endpoint == "exec"
	input.upgrade == "spdy"
}
"#;

const PROMETHEUS: &str = "CN=prometheus,O=monitoring";
const EXEC: &str = "/exec/default/web-0/app?command=sh&output=1";
const SESSION: (&str, &str) = ("kubectl-session", "7b9c3c0e-5e0a-4d3f-9d3e-2f6f5d3b8a11");
const WEBSOCKET: &[(&str, &str)] = &[
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "v5.channel.k8s.io"),
    SESSION,
];

/// One kubectl exec, which takes two decisions and a minute; metrics; a request without a reading; a
/// handshake that failed; an upstream that is down.
fn log() -> String {
    let mut recorder = Recorder::new(POLICY, json!({}));
    let spdy = [SPDY, &[SESSION]].concat();
    let mut log = recorder.line(APISERVER, &format!("GET {EXEC}"), WEBSOCKET);
    let session = recorder.decision(APISERVER, &format!("POST {EXEC}"), &spdy);
    log += &opened(&session);
    log += &recorder.line(PROMETHEUS, "GET /metrics", &[]);
    log += &recorder.line(PROMETHEUS, "GET //metrics", &[]);
    log += "{\"refused\":{\"timestamp\":\"2026-11-20T15:20:17.677Z\",\"reason\":\"TLS_error\",\"address\":\"10.0.0.9:1\"}}\n";
    log += &ended(&session, 63_000, 4096);
    log += "{\"failed\":{\"timestamp\":\"2026-11-20T15:20:18Z\",\"reason\":\"connection_termination\"},\"response_flags\":\"UC\",\"connection_id\":7}\n";
    log
}

fn show(further: &[&str]) -> Run {
    let folder = folder(&[("decisions.log", &log())]);
    gatelet(folder.path(), &[&["log"], further].concat())
}

#[test]
fn a_decision_is_a_line_and_a_session_has_its_end() {
    let Run { code, out, err } = show(&[]);
    assert_eq!(
        out,
        r#"2026-11-20 15:20:01.000   denied     exec default/web-0/app ["sh"] over websocket by kube-apiserver-kubelet-client (kubeadm:cluster-admins); nothing allows it
2026-11-20 15:20:02.000 + allowed    exec default/web-0/app ["sh"] over spdy by kube-apiserver-kubelet-client (kubeadm:cluster-admins); rule exec; 00:01:03, 4.00 KiB out, 0 B in; failed connection_termination (UC)
2026-11-20 15:20:03.000   allowed    GET /metrics by prometheus (monitoring); rule metrics
2026-11-20 15:20:04.000   malformed  GET //metrics by prometheus (monitoring); an empty or dot segment in the path
2026-11-20 15:20:17.677   refused    a connection by 10.0.0.9:1; TLS_error
"#
    );
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn what_belongs_together_is_named_across_other_lines() {
    let mut recorder = Recorder::new(POLICY, json!({}));
    let spdy = [SPDY, &[SESSION]].concat();
    let mut log = recorder.line(APISERVER, &format!("GET {EXEC}"), WEBSOCKET);
    log += &recorder.line(PROMETHEUS, "GET /metrics", &[]);
    log += &recorder.line(APISERVER, &format!("POST {EXEC}"), &spdy);
    let folder = folder(&[("decisions.log", &log)]);
    let out = done(folder.path(), &["log"]).out;
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("2026-11-20 15:20:03.000 + allowed"), "{out}");
    assert!(last.ends_with("; same kubectl as 15:20:01.000"), "{out}");
}

#[test]
fn what_is_wanted_is_shown() {
    let words = |run: &Run| -> Vec<String> {
        let word = |line: &str| line.get(26..).unwrap().split(' ').next().unwrap().to_owned();
        run.out.lines().map(word).collect()
    };
    for (options, want) in [
        (&["--endpoint", "exec"][..], &["denied", "allowed"][..]),
        (&["--endpoint", "exec", "--endpoint", "metrics"], &["denied", "allowed", "allowed"]),
        (&["--result", "allowed"], &["allowed", "allowed"]),
        (&["--result", "denied"], &["denied", "malformed"]),
        (&["--result", "refused"], &["refused"]),
        (&["--reason", "malformed"], &["malformed"]),
        (&["--rule", "exec|logs"], &["allowed"]),
        (&["--peer", "prometheus"], &["allowed", "malformed"]),
        (&["--peer", "kubeadm:.*"], &["denied", "allowed"]),
        (&["--peer", "prom"], &[]),
        (&["--namespace", "default"], &["denied", "allowed"]),
        (&["--pod", "web-.*", "--result", "denied"], &["denied"]),
        (&["--pod", "web"], &[]),
        (&["--session", SESSION.1], &["denied", "allowed"]),
        (&["--session", "00000000-0000-4000-8000-000000000003"], &["allowed"]),
        (&["--since", "2026-11-20T15:20:04Z"], &["malformed", "refused"]),
        (&["--until", "2026-11-20T15:20:01Z"], &["denied"]),
        (&["--since", "2027-01-01"], &[]),
    ] {
        let run = show(options);
        assert_eq!(words(&run), want, "{options:?}: {}", run.err);
        assert_eq!(run.code, 0, "{options:?}");
    }
}

#[test]
fn programs_get_the_records_as_they_are() {
    let run = show(&["--format", "json", "--endpoint", "exec"]);
    let of_exec: Vec<_> =
        log().lines().map(str::to_owned).filter(|l| l.contains("/exec/")).collect();
    assert_eq!(run.out.lines().collect::<Vec<_>>(), of_exec);
    assert_eq!(of_exec.len(), 3);
}

#[test]
fn what_is_no_record_is_told_and_no_success() {
    let broken = format!("{}{{\"decision\":{{\"dec\n", log());
    let folder = folder(&[("decisions.log", &broken)]);
    let Run { code, out, err } = gatelet(folder.path(), &["log"]);
    assert_eq!((code, out.lines().count()), (3, 5));
    assert_eq!(err, "warning: decisions.log:8: the line is cut off, or no JSON\n");
    write(folder.path(), "decisions.log", &log().replace("gatelet/v1", "gatelet/v9"));
    let Run { code, err, .. } = gatelet(folder.path(), &["log"]);
    assert!(err.contains("schema `gatelet/v9` is not known"), "{err}");
    assert_eq!(code, 3);
}

#[test]
fn an_option_that_means_nothing_is_a_wrong_command_line() {
    for options in
        [["--since", "yesterday"], ["--pod", "("], ["--reason", "because"], ["--result", "perhaps"]]
    {
        assert_eq!(show(&options).code, 2, "{options:?}");
    }
}

#[test]
fn a_callers_text_does_not_command_the_terminal() {
    let line = log().lines().next().unwrap().replace("\"sh\"", r#""\u001b[2J\u009b\u202e""#);
    let folder = folder(&[("decisions.log", &line)]);
    let out = done(folder.path(), &["log"]).out;
    assert!(out.contains(r"[2J"), "{out}");
    assert!(out.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "{out}");
}

/// `gatelet log --follow`, with its lines as they come.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gatelet"))
            .args(["log", "--follow"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = channel();
        thread::spawn(move || out.lines().try_for_each(|line| to.send(line.unwrap())));
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn append(folder: &Path, text: &str) {
    let file = folder.join("decisions.log");
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

#[test]
fn a_log_is_followed_across_its_rotation() {
    let mut recorder = Recorder::new(POLICY, json!({}));
    let session: Value = recorder.decision(APISERVER, &format!("POST {EXEC}"), SPDY);
    let folder = folder(&[("decisions.log", &opened(&session))]);
    let following = Following::start(folder.path());
    let line = following.line();
    assert!(line.ends_with("; rule exec; open"), "{line}");

    // Half a line is no line yet.
    let metrics = recorder.line(PROMETHEUS, "GET /metrics", &[]);
    let (begin, end) = metrics.split_at(100);
    append(folder.path(), begin);
    append(folder.path(), end);
    assert!(following.line().contains("GET /metrics by prometheus"));

    fs::rename(folder.path().join("decisions.log"), folder.path().join("decisions.log.1")).unwrap();
    append(folder.path(), &ended(&session, 63_000, 4096));
    let line = following.line();
    assert!(line.contains(" ended      exec default/web-0/app"), "{line}");
    assert!(line.ends_with("; 00:01:03, 4.00 KiB out, 0 B in"), "{line}");
    append(folder.path(), &recorder.line(PROMETHEUS, "GET /configz", &[]));
    assert!(following.line().contains("GET /configz by prometheus"));
}
