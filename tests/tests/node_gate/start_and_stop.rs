//! The start script refuses what can't work, and the stop script lets requests finish.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use gatelet_certs::{Persona, publish};
use gatelet_tests::client::{RawClient, RemoteCommand, get};
use gatelet_tests::deadline::within;
use gatelet_tests::envoy::{Envoy, binary, project};
use gatelet_tests::fixture::{ALL, Fixture, LOG};
use gatelet_tests::gate::{NODE, cluster};
use gatelet_tests::policy;
use tempfile::TempDir;

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
    let rows: [(&str, Spoil); 8] = [
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
        ("cannot read gatelet.wasm", |folder| fs::remove_file(folder.join("gatelet.wasm"))),
        ("policy/gatelet.json names no module", |folder| {
            fs::write(folder.join("policy/gatelet.json"), "{}")
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

/// The command decides; here it is one that knows nothing of policies.
#[tokio::test]
async fn start_has_the_policy_checked() -> anyhow::Result<()> {
    let folder = folder()?;
    let gatelet = folder.path().join("gatelet");
    fs::write(&gatelet, "#!/bin/sh\n[ \"$*\" = 'check policy/gatelet.json' ] && exit 1\n")?;
    fs::set_permissions(&gatelet, fs::Permissions::from_mode(0o755))?;
    let mut command = script_command("start", folder.path());
    command.args(["--address", "127.0.0.1", "--node", NODE]).env("GATELET_BIN", &gatelet);
    let Err(error) = Envoy::start(command, folder.path()).await else { panic!("started") };
    assert!(error.to_string().contains("does not pass `gatelet check`"), "{error}");
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
    let envoy = folder.path().join("envoy");
    for (version, fixed) in [
        ("1.35.13", false),
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
    ] {
        // It gets as far as the validation, and fails there.
        let script = format!("#!/bin/sh\n[ $# = 1 ] && echo 'envoy version: 0/{version}/Clean'\n");
        fs::write(&envoy, script)?;
        fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755))?;
        let output = script_command("start", folder.path())
            .args(["--address", "127.0.0.1", "--node", NODE])
            .env("ENVOY_BIN", &envoy)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("CVE-2026-73548"), !fixed, "{version}: {said}");
        assert!(!output.status.success(), "{version}");
    }
    let none = script_command("start", folder.path())
        .args(["--address", "127.0.0.1", "--node", NODE])
        .env("ENVOY_BIN", folder.path().join("nothing"))
        .output()?;
    refused(none, "is no Envoy");
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

#[tokio::test]
async fn stop_lets_a_session_finish() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    // Longer than it would take to stop.
    let slow_echo = &["sh", "-c", "read word; sleep 1.2; echo $word"];
    let mut session =
        RemoteCommand::exec("default/web-0/app", slow_echo).with_stdin().start(&apiserver).await?;

    let mut stop = tokio::process::Command::from(script_command("stop", fixture.gate.folder()))
        .kill_on_drop(true)
        .spawn()?;
    fixture.gate.admin().wait_for_stat("server.live", |live| live == 0).await?;
    let mut client = RawClient::connect(&apiserver).await?;
    client.send_request("GET", LOG).await?;
    assert_eq!(client.response().await?.header("connection").as_deref(), Some("close"),);
    session.send(b"unhurried\n").await?;
    assert_eq!(session.finish().await?.stdout, b"unhurried\n");

    assert!(within("stop to end", stop.wait()).await??.success());
    assert!(fixture.gate.envoy().ended().await?.success());
    Ok(())
}

#[tokio::test]
async fn stop_does_not_wait_for_ever() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let _session = cat.start(&fixture.apiserver()?).await?;
    let mut stop = tokio::process::Command::from(script_command("stop", fixture.gate.folder()));
    let stop = stop.arg("1").kill_on_drop(true).status();
    assert!(within("stop to end", stop).await??.success());
    assert!(fixture.gate.envoy().ended().await?.success());
    Ok(())
}

#[test]
fn stop_says_that_nothing_runs() -> anyhow::Result<()> {
    let folder = folder()?;
    refused(script_command("stop", folder.path()).output()?, "nobody answers at admin.sock");
    Ok(())
}

/// A folder with all that the start script asks for, and files in it that a test may spoil.
fn folder() -> anyhow::Result<TempDir> {
    let (folder, cluster) = (tempfile::tempdir()?, cluster()?);
    let shipped = project().join("envoy/kubelet");
    publish(&folder.path().join("certs/serving"), &cluster.issue(Persona::GateServing)?)?;
    publish(&folder.path().join("certs/kubelet"), &cluster.issue(Persona::GateClientOwned)?)?;
    fs::copy(shipped.join("envoy.yaml"), folder.path().join("envoy.yaml"))?;
    fs::create_dir(folder.path().join("sds"))?;
    for entry in fs::read_dir(shipped.join("sds"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.path().join("sds").join(entry.file_name()))?;
    }
    symlink("/dev/null", folder.path().join("gatelet.wasm"))?;
    fs::create_dir(folder.path().join("policy"))?;
    fs::write(folder.path().join("policy/gatelet.json"), policy::rego(ALL)?)?;
    Ok(folder)
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

fn script_command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(project().join("envoy/kubelet").join(name));
    // The policies here are good ones.
    command.current_dir(folder).env("GATELET_BIN", "true");
    command
}

/// Asserts that a script has failed and says why.
fn refused(output: Output, message: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(message), "no {message:?} in {said:?}");
    assert!(!output.status.success(), "{message}");
}
