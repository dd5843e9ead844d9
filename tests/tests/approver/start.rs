//! The start script refuses what can't work, and says why.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use gatelet_certs::{Persona, publish};
use gatelet_tests::envoy::{binary, of_version, project};
use gatelet_tests::gate::cluster;

#[test]
fn start_names_what_is_missing_or_wrong() -> anyhow::Result<()> {
    type Spoil = fn(&Path) -> std::io::Result<()>;
    let rows: [(&[&str], &str, Spoil); 10] = [
        (&[], "usage: start --api-server HOST[:PORT]", |_| Ok(())),
        (&["--api-server", "fd00::1"], "an IPv6 address is written [fd00::1]", |_| Ok(())),
        (&["--api-server", "a b"], "has no host", |_| Ok(())),
        (&["--api-server", "a:b"], "has no port", |_| Ok(())),
        (&["--api-server", "a", "--monitoring", "pod"], "--monitoring pod is no IP", |_| Ok(())),
        (SERVER, "cannot read certs/approver/tls.key", |folder| {
            fs::remove_file(folder.join("certs/approver/tls.key"))
        }),
        (SERVER, "cannot read gatelet_approver.wasm", |folder| {
            fs::remove_file(folder.join("gatelet_approver.wasm"))
        }),
        (SERVER, "cannot read sds/", |folder| fs::remove_file(folder.join("sds"))),
        (SERVER, "cannot read policy/approver.json", |folder| {
            fs::remove_file(folder.join("policy/approver.json"))
        }),
        // Nothing else is missing.
        (SERVER, "does not pass `gatelet check`", |_| Ok(())),
    ];
    for (arguments, message, spoil) in rows {
        let folder = tempfile::tempdir()?;
        lay_out(folder.path())?;
        spoil(folder.path())?;
        let output = Command::new(project().join("envoy/approver/start"))
            .args(arguments)
            .current_dir(folder.path())
            .env("ENVOY_BIN", binary()?)
            .env("GATELET_BIN", "false")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(message), "no {message:?} in {said:?}");
        assert!(!output.status.success(), "{message}");
    }
    Ok(())
}

#[test]
fn start_refuses_an_envoy_without_its_fixes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    lay_out(folder.path())?;
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
        ("2.0.0", false),
    ] {
        // It gets as far as the check of the policy, and fails there.
        let output = Command::new(project().join("envoy/approver/start"))
            .args(SERVER)
            .current_dir(folder.path())
            .env("ENVOY_BIN", of_version(version, folder.path())?)
            .env("GATELET_BIN", "false")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("CVE-2026-73548"), !fixed, "{version}: {said}");
        assert!(!output.status.success(), "{version}");
    }
    Ok(())
}

/// Each folder is shipped alone, so each script has its own list. A sidecar needs 1.37 for more than that.
#[test]
fn all_start_scripts_refuse_the_same_envoys() -> anyhow::Result<()> {
    let list = |folder: &str| -> anyhow::Result<Vec<String>> {
        let script = fs::read_to_string(project().join("envoy").join(folder).join("start"))?;
        let list = script.lines().skip_while(|line| !line.starts_with("minor="));
        let list: Vec<_> = list.take_while(|line| *line != "esac").map(str::to_owned).collect();
        anyhow::ensure!(list.len() > 4, "{folder} has no list");
        Ok(list)
    };
    let kubelet = list("kubelet")?;
    assert_eq!(list("approver")?, kubelet);
    let newer: Vec<_> = kubelet.into_iter().filter(|line| !line.starts_with("36.")).collect();
    assert_eq!(list("sidecar")?, newer);
    Ok(())
}

/// The fix has a switch: whatever sets it, the configuration or the options behind it.
#[test]
fn all_start_scripts_refuse_to_turn_the_fix_off() -> anyhow::Result<()> {
    const FIX: &str = "envoy.reloadable_features.http_pause_generic_upgrade_request_body";
    let runtime = |layer: &str| format!("layered_runtime: {{layers: [{{static_layer: {layer}}}]}}");
    let folder = tempfile::tempdir()?;
    let node = ["--address", "127.0.0.1", "--node", "worker-1"];
    for (script, arguments) in [("kubelet", &node[..]), ("approver", SERVER), ("sidecar", &[])] {
        let shipped = project().join("envoy").join(script);
        // A sidecar's configuration is always the one beside its script.
        fs::copy(shipped.join("start"), folder.path().join("start"))?;
        for (layer, is_off) in [
            ("{}".to_owned(), false),
            (format!("{{{FIX}: true}}"), false),
            (format!("{{{FIX}: false}}"), true),
            (format!(r#"{{"{FIX}": "false", other: true}}"#), true),
            (format!("{{{FIX}: true, {FIX}: 0}}"), true),
        ] {
            for (own, behind) in [("{}", &*layer), (&layer, "{}")] {
                fs::write(folder.path().join("envoy.yaml"), runtime(own))?;
                let output = Command::new("./start")
                    .args(arguments)
                    .args(["--", "--config-yaml", &runtime(behind)])
                    .current_dir(folder.path())
                    .env("ENVOY_BIN", binary()?)
                    .output()?;
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(said.contains("CVE-2026-73548"), is_off, "{script} {layer}: {said}");
                assert!(!output.status.success(), "{script} {layer}");
            }
        }
    }
    Ok(())
}

const SERVER: &[&str] = &["--api-server", "127.0.0.1:6443"];

fn lay_out(folder: &Path) -> anyhow::Result<()> {
    publish(&folder.join("certs/approver"), &cluster()?.issue(Persona::Approver)?)?;
    symlink(project().join("envoy/approver/sds"), folder.join("sds"))?;
    fs::write(folder.join("gatelet_approver.wasm"), "a module")?;
    fs::create_dir(folder.join("policy"))?;
    fs::write(folder.join("policy/approver.json"), "{}")?;
    Ok(())
}
