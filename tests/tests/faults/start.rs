//! The start script refuses what can't work, by name.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use gatelet_tests::command::gatelet;
use gatelet_tests::envoy::{Envoy, binary, of_version};
use gatelet_tests::gate::{NODE, POLICY};
use gatelet_tests::policy;

use crate::script::{folder, refused, script_command};

#[test]
fn the_configuration_is_valid_as_it_is_shipped() -> anyhow::Result<()> {
    let folder = folder()?;
    let output = Command::new(binary()?)
        .current_dir(folder.path())
        .args(["--mode", "validate", "--config-path", "envoy.yaml"])
        .output()?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn start_names_what_is_missing_or_wrong() -> anyhow::Result<()> {
    type Spoil = fn(&Path) -> std::io::Result<()>;
    let rows: [(&str, Spoil); 12] = [
        ("cannot read certs/serving/tls.key", |folder| {
            fs::remove_file(folder.join("certs/serving/tls.key"))
        }),
        ("cannot read certs/kubelet/ca.crt", |folder| {
            fs::write(folder.join("certs/kubelet/ca.crt"), "")
        }),
        ("Failed to load private key from certs/serving/tls.key", |folder| {
            fs::write(folder.join("certs/serving/tls.key"), "no key")
        }),
        ("KEY_VALUES_MISMATCH", |folder| {
            let other = folder.join("certs/kubelet/tls.key");
            fs::copy(other, folder.join("certs/serving/tls.key")).map(drop)
        }),
        ("no revocation list in certs/serving/ca.crl", name_a_list),
        ("Failed to load CRL from certs/serving/ca.crl", |folder| {
            name_a_list(folder)?;
            let half = "-----BEGIN X509 CRL-----\nMIIB";
            fs::write(folder.join("certs/serving/ca.crl"), half)
        }),
        ("decisions.log", |folder| fs::create_dir(folder.join("decisions.log"))),
        ("cannot read gatelet.wasm", |folder| fs::remove_file(folder.join("gatelet.wasm"))),
        ("policy/gatelet.json names no module", |folder| {
            fs::write(folder.join("policy/gatelet.json"), "{}")
        }),
        ("rendered with --profile http", |folder| {
            let text = fs::read_to_string(folder.join("policy/gatelet.json"))?;
            let http = text.replace(r#"\"profile\":\"kubelet\""#, r#"\"profile\":\"http\""#);
            fs::write(folder.join("policy/gatelet.json"), http)
        }),
        ("cannot read policy/gatelet.json", |folder| {
            fs::remove_file(folder.join("policy/gatelet.json"))
        }),
        ("'listenerz'", |folder| {
            let text = fs::read_to_string(folder.join("envoy.yaml"))?;
            fs::write(folder.join("envoy.yaml"), text.replace("listeners:", "listenerz:"))
        }),
    ];
    for (message, spoil) in rows {
        let folder = folder()?;
        spoil(folder.path())?;
        start_refuses(folder.path(), &[], message).await?;
        assert!(!folder.path().join("admin.sock").exists(), "{message}");
    }
    Ok(())
}

/// The kubelet of profile hardened is known by a CA that callers have, too: however the files are
/// written, and while a new one takes over.
#[test]
fn start_lets_tokens_in_where_a_ca_is_in_both_files() -> anyhow::Result<()> {
    const ELSEWHERE: &str = "--tokens is for profile hardened";
    // The next thing that is wrong.
    const KNOWN: &str = "is rendered not to let tokens in";
    let folder = folder()?;
    let file = |name| folder.path().join(format!("certs/{name}/ca.crt"));
    let (cluster, own) =
        (fs::read_to_string(file("serving"))?, fs::read_to_string(file("kubelet"))?);
    for (row, serving, kubelet, message) in [
        ("two CAs", cluster.clone(), own.clone(), ELSEWHERE),
        ("one CA", cluster.clone(), cluster.clone(), KNOWN),
        ("an empty line at the end", cluster.clone(), format!("{cluster}\n"), KNOWN),
        ("no end of the last line", cluster.trim_end().to_owned(), cluster.clone(), KNOWN),
        ("other line ends", cluster.replace('\n', "\r\n"), cluster.clone(), KNOWN),
        ("text before it", format!("the cluster's\n{cluster}"), cluster.clone(), KNOWN),
        ("a new one for callers", format!("{own}{cluster}"), cluster.clone(), KNOWN),
        ("a new one for the kubelet", cluster.clone(), format!("{own}{cluster}"), KNOWN),
        ("nothing but text", "the cluster's\n".to_owned(), "the cluster's\n".to_owned(), ELSEWHERE),
    ] {
        fs::write(file("serving"), serving)?;
        fs::write(file("kubelet"), kubelet)?;
        let output = script_command("start", folder.path())
            .args(["--address", "127.0.0.1", "--node", NODE, "--tokens"])
            .env("ENVOY_BIN", binary()?)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(message), "{row}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn start_has_the_policy_checked() -> anyhow::Result<()> {
    let folder = folder()?;
    let broken = policy::rego("package kubelet.authz\n\ndecision := {")?;
    fs::write(folder.path().join(POLICY), broken)?;
    let mut command = script_command("start", folder.path());
    command.args(["--address", "127.0.0.1", "--node", NODE]).env("GATELET_BIN", gatelet()?);
    let Err(error) = Envoy::start(command, folder.path()).await else { panic!("started") };
    for said in ["policy.rego:3:", "policy/gatelet.json does not pass `gatelet check`"] {
        assert!(error.to_string().contains(said), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn start_refuses_arguments_that_are_none() -> anyhow::Result<()> {
    let folder = folder()?;
    for (arguments, message) in [
        (&["--address", "worker-1"][..], "--address worker-1 is no IP address"),
        (&["--node", "worker_1/"], "--node worker_1/ is no name of a node"),
        (&["--node"], "usage: start --address IP --node NAME"),
        (&["--help"], "usage: start --address IP --node NAME"),
    ] {
        start_refuses(folder.path(), arguments, message).await?;
    }
    Ok(())
}

#[test]
fn start_refuses_an_envoy_that_forwards_behind_a_refused_upgrade() -> anyhow::Result<()> {
    let folder = folder()?;
    for (version, fixed) in [
        ("1.9.10", false),
        ("1.35.13", false),
        ("1.36.0", false),
        ("1.36.9", false),
        ("1.36.10", true),
        ("1.37.5", false),
        ("1.37.6", true),
        ("1.38.3", false),
        ("1.38.4", true),
        ("1.39.0", false),
        ("1.39.1", true),
        ("1.40.0", true),
        ("1.41.0", true),
        ("1.100.0", true),
        ("2.0.0", false),
    ] {
        // It gets as far as the validation, and fails there.
        let output = script_command("start", folder.path())
            .args(["--address", "127.0.0.1", "--node", NODE])
            .env("ENVOY_BIN", of_version(version, folder.path())?)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("CVE-2026-73548"), !fixed, "{version}: {said}");
        assert!(!output.status.success(), "{version}");
    }
    // Before a release, its number says nothing of what is in it.
    for envoy in [folder.path().join("nothing"), of_version("1.40.0-dev", folder.path())?] {
        let none = script_command("start", folder.path())
            .args(["--address", "127.0.0.1", "--node", NODE])
            .env("ENVOY_BIN", envoy)
            .output()?;
        refused(none, "is no Envoy");
    }
    Ok(())
}

#[tokio::test]
async fn start_names_the_port_that_is_taken() -> anyhow::Result<()> {
    // Go's servers have `[::]` where they are told nothing else, which is IPv4 too.
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let folder = folder()?;
        let taken = TcpListener::bind(address)?;
        let port = taken.local_addr()?.port();
        let text = fs::read_to_string(folder.path().join("envoy.yaml"))?;
        let text = text
            .replace("192.0.2.10, port_value: 10250", &format!("192.0.2.10, port_value: {port}"));
        fs::write(folder.path().join("envoy.yaml"), text)?;
        let message = format!("port {port} of 127.0.0.1 is taken");
        start_refuses(folder.path(), &[], &message).await?;
    }
    Ok(())
}

async fn start_refuses(folder: &Path, arguments: &[&str], message: &str) -> anyhow::Result<()> {
    let mut command = script_command("start", folder);
    command.args(["--config", "envoy.yaml", "--address", "127.0.0.1", "--node", NODE]);
    command.args(arguments);
    let error = Envoy::start(command, folder).await.map(drop).map_err(|error| error.to_string());
    assert!(
        error.as_ref().is_err_and(|text| text.contains(message)),
        "no {message:?} in {error:?}"
    );
    Ok(())
}

/// A revocation list, where the shipped file has room for one.
fn name_a_list(folder: &Path) -> std::io::Result<()> {
    let callers = folder.join("sds/callers.yaml");
    let text = fs::read_to_string(&callers)?;
    fs::write(callers, text.replace("# crl:", "crl:"))
}
