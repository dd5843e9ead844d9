//! Running the command on folders of a test's own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use chrono::DateTime;
use gatelet_core::{
    Call, Config, Gate, Headers, Peer, Reason, extension_config, peer::PeerProperties,
    policy::Builtins,
};
use tempfile::TempDir;

/// What a run of the command came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the command in a folder.
pub(crate) fn gatelet(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Run {
    gatelet_with(folder, arguments, &[])
}

/// Runs the command in a folder with these variables in its environment, and none for colours.
pub(crate) fn gatelet_with(
    folder: &Path,
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &str)],
) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_gatelet"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs it where it has to succeed.
pub(crate) fn done(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Run {
    let run = gatelet(folder, arguments);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    run
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// The folder of the project.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The configuration in a rendered file, as the filter gets it.
pub(crate) fn configuration(file: &Path) -> serde_json::Value {
    let file: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    serde_json::from_str(extension_config::configuration(&file).unwrap()).unwrap()
}

/// The gate that the filter makes of a rendered file.
pub(crate) fn gate(file: &Path) -> Gate {
    let config = Config::from_json(configuration(file).to_string().as_bytes()).unwrap();
    Gate::new(config, Builtins::Standard).unwrap()
}

/// What a gate says of a request.
pub(crate) fn ask(gate: &Gate, subject: &str, request: &str, headers: &[(&str, &str)]) -> Reason {
    decide(gate, subject, None, request, headers)
}

/// What a gate says of a request between services.
pub(crate) fn ask_service(gate: &Gate, uri_san: &str, request: &str) -> Reason {
    decide(gate, "CN=service", Some(uri_san), request, &[])
}

fn decide(
    gate: &Gate,
    subject: &str,
    uri_san: Option<&str>,
    request: &str,
    headers: &[(&str, &str)],
) -> Reason {
    let properties = PeerProperties {
        mtls: Some(&[1]),
        subject: Some(subject.as_bytes()),
        uri_san: uri_san.map(str::as_bytes),
        sha256: Some(&[b'0'; 64]),
        ..PeerProperties::default()
    };
    let (method, path) = request.split_once(' ').unwrap();
    let lines: Vec<_> = [(":method", method), (":path", path), (":authority", "worker-1:10250")]
        .iter()
        .chain(headers)
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    let call = Call {
        headers: Headers::new(&lines),
        end_of_stream: headers.is_empty(),
        peer: &Peer::from_properties(&properties, false),
        cluster: None,
        decision_id: "1",
    };
    gate.decide(&call, || DateTime::UNIX_EPOCH).reason
}

/// A policy that allows the metrics.
pub(crate) const METRICS: (&str, &str) = (
    "rego/kubelet/authz/authz.rego",
    r#"package kubelet.authz

default decision := false

decision if input.endpoint == "metrics"
"#,
);

/// A caller.
pub(crate) const APISERVER: &str = "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins";
