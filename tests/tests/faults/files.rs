//! Files that are cut off or can't be read, as a full disk leaves them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use gatelet_certs::{Pair, Persona};
use gatelet_tests::client::{RawClient, RemoteCommand, get};
use gatelet_tests::command::gatelet;
use gatelet_tests::deadline::eventually;
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG, LOGS};
use gatelet_tests::gate::{POLICY, Update};
use gatelet_tests::policy;

#[tokio::test]
async fn a_policy_file_that_is_cut_off_leaves_the_old_policy() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;
    let path = fixture.gate.folder().join(POLICY);
    let good = policy::rego(ALL)?;
    let (half, _) = good.split_at(good.len() / 2);
    for (failures, text) in [(1, Some(half)), (2, Some("")), (3, None)] {
        match text {
            Some(text) => fixture.gate.install(POLICY, text)?,
            None => {
                let link = path.with_extension("link");
                symlink("nowhere", &link)?;
                fs::rename(&link, &path)?;
            }
        }
        let stat = "extension_config_discovery.http_filter.gatelet.update_failure";
        fixture.gate.admin().wait_for_stat(stat, |count| count == failures).await?;
        assert_eq!(get(&apiserver, "/pods").await?.status, 403, "{text:?}");
        assert_eq!(get(&apiserver, LOG).await?.status, 200, "{text:?}");
    }
    assert_eq!(fixture.reached(), [LOG; 3]);
    let said = fixture.gate.envoy_log()?;
    assert_eq!(said.matches("update failure: in policy/gatelet.json").count(), 3, "{said}");
    // The filter never sees such a file, and so can't count it.
    assert_eq!(fixture.gate.admin().stat("wasmcustom.gatelet_policy_updates.rejected").await?, 0);
    let metrics = get(&fixture.prometheus()?, "/metrics").await?;
    let counted = "envoy_extension_config_discovery_http_filter_gatelet_update_failure{} 3";
    assert!(metrics.text().contains(counted), "{}", metrics.text());

    // So does a module that is cut off.
    let module = fs::read(fixture.gate.folder().join("gatelet.wasm"))?;
    let (half, _) = module.split_at(module.len() / 2);
    fs::write(fixture.gate.folder().join("half.wasm"), half)?;
    let cut_off = good.replace("\"gatelet.wasm\"", "\"half.wasm\"");
    assert_eq!(fixture.gate.update_policy(&cut_off).await?, Update::Rejected);
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    assert_eq!(get(&apiserver, LOG).await?.status, 200);

    assert_eq!(fixture.gate.update_policy(&good).await?, Update::Applied);
    assert_eq!(get(&apiserver, "/pods").await?.status, 200);
    Ok(())
}

#[test]
fn a_full_disk_leaves_the_policy_file_as_it_was() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (rules, file) = (folder.path().join("rego"), folder.path().join("gatelet.json"));
    fs::create_dir(&rules)?;
    fs::write(rules.join("policy.rego"), ALL)?;
    fs::write(&file, "as it was")?;
    // No file may grow beyond nothing.
    let mut render = Command::new("sh");
    render.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" render \"$@\""]);
    let render = render.arg(gatelet()?).arg(&rules).arg("--output").arg(&file).output()?;
    let said = String::from_utf8_lossy(&render.stderr);
    assert!(!render.status.success() && said.contains("gatelet.json"), "{said}");
    assert_eq!(fs::read_to_string(&file)?, "as it was");
    assert_eq!(fs::read_dir(folder.path())?.count(), 2, "nothing is left beside it");
    Ok(())
}

#[tokio::test]
async fn certificates_that_are_cut_off_leave_the_old_ones() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut session = cat.start(&apiserver).await?;
    let certificate = async || {
        let client = RawClient::connect(&apiserver).await?;
        anyhow::Ok(client.tls().peer_certificates().map(<[_]>::to_vec))
    };
    let old = certificate().await?;
    let cut = |text: &str| text.get(..text.len() / 2).map(str::to_owned).unwrap_or_default();

    let new = fixture.cluster.issue(Persona::GateServing)?;
    for (secret, failures, row, pair) in [
        ("serving", 1, "half a key", Pair { key: cut(&new.key), ..new.clone() }),
        ("callers", 1, "half a CA", Pair { ca: cut(&new.ca), ..new.clone() }),
        ("callers", 2, "no CA", Pair { ca: String::new(), ..new.clone() }),
    ] {
        fixture.gate.rotate_serving(&pair)?;
        let stat = format!("sds.{secret}.key_rotation_failed");
        fixture.gate.admin().wait_for_stat(&stat, |count| count == failures).await?;
        if secret == "serving" {
            assert_eq!(certificate().await?, old, "{row}");
        }
        assert_eq!(get(&apiserver, LOG).await?.status, 200, "{row}");
        assert!(get(&fixture.gate.dialer(None)?, LOG).await.is_err(), "{row}");
    }
    // Envoy doesn't look at a CA again that it had before the fault: one empty line makes it another.
    let old = certificate().await?;
    let new = fixture.cluster.issue(Persona::GateServing)?;
    fixture.gate.rotate_serving(&Pair { ca: format!("{}\n", new.ca), ..new })?;
    eventually("the new certificate", async || {
        Ok(certificate().await?.filter(|new| Some(new) != old.as_ref()))
    })
    .await?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);

    let client = fixture.cluster.issue(Persona::GateClientOwned)?;
    fixture.gate.rotate_client(&Pair { key: cut(&client.key), ..client })?;
    let stat = "sds.kubelet-client.key_rotation_failed";
    fixture.gate.admin().wait_for_stat(stat, |count| count == 1).await?;
    session.send(b"undisturbed\n").await?;
    session.read_until("undisturbed").await?;
    let peer = |fixture: &Fixture| fixture.kubelet.requests().pop().map(|request| request.user);
    let before = peer(&fixture);
    fixture.replace_kubelet(|_| {}).await?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    assert_eq!(peer(&fixture), before, "on a new connection");

    let said = fixture.gate.envoy_log()?;
    assert!(said.contains("Failed to reload certificates: Failed to load private key"), "{said}");
    let metrics = get(&fixture.prometheus()?, "/metrics").await?;
    let counted = r#"envoy_sds_key_rotation_failed{envoy_xds_resource_name="kubelet-client"} 1"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    Ok(())
}

/// Envoy writes its log behind the requests: it can't hold one back until it is on record.
#[tokio::test]
async fn a_decision_log_that_takes_no_more_is_counted_and_requests_go_on() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    fixture.gate.decisions().wait_for("the first", is_about("containerLogs")).await?;
    let path = fixture.gate.decisions().path();
    fs::rename(path, path.with_extension("old"))?;
    symlink("/dev/full", path)?;
    fixture.gate.admin().post("/reopen_logs").await?;

    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    fixture.gate.admin().wait_for_stat("filesystem.write_failed", |count| count > 0).await?;
    let metrics = get(&fixture.prometheus()?, "/metrics").await?;
    assert!(metrics.text().contains("\nenvoy_filesystem_write_failed{}"));

    fs::remove_file(path)?;
    fixture.gate.admin().post("/reopen_logs").await?;
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    fixture.gate.decisions().wait_for("the next", is_about("pods")).await?;
    Ok(())
}
