//! What an Envoy without the fix of CVE-2026-73548 does, and that no start script takes one.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use gatelet_tests::client::RawClient;
use gatelet_tests::deadline::eventually;
use gatelet_tests::envoy::{binary, disguised, project};
use gatelet_tests::fixture::{ALL, EXEC, Fixture, Setup};
use gatelet_tests::kubelet::Fault;
use hyper::StatusCode;
use serde_json::Value;

/// What turns the fix off. The name is only in an Envoy that has it.
const SWITCH: &str = "http_pause_generic_upgrade_request_body";

/// The kubelet refuses the upgrade and reads on. Nobody has judged what it finds then. Without the
/// filter, which would have allowed the upgrade: the old Envoy at hand has no Wasm.
#[tokio::test]
async fn bytes_behind_a_refused_upgrade_reach_the_kubelet_only_without_the_fix()
-> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let off = format!(
        "layered_runtime: {{layers: [{{name: static, static_layer: \
         {{envoy.reloadable_features.{SWITCH}: false}}}}]}}"
    );
    for (row, envoy, arguments, arrives) in [
        ("1.38.3", other("1.38")?, &[][..], true),
        ("the fix turned off", binary()?, &["--config-yaml", &off], true),
        ("1.39.3", other("1.39")?, &[], false),
        ("the pinned one", binary()?, &[], false),
    ] {
        let envoy = disguised(&envoy, "1.40.0", arguments, scratch.path())?;
        let setup = Setup {
            kubelet_fault: Some(Fault::AnswerUpgradesWith(StatusCode::FORBIDDEN)),
            envoy: Some(envoy),
            change: leave_out_the_filter,
            ..Setup::default()
        };
        let fixture = Fixture::start_as(ALL, setup).await.context(row)?;
        let mut client = RawClient::connect(&fixture.apiserver()?).await?;
        let upgrade = format!(
            "POST {EXEC} HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\nConnection: Upgrade\r\n\
             Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
        );
        client.send(format!("{upgrade}GET /pods HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).await?;
        assert_eq!(client.response().await?.status, 403, "{row}");
        assert_eq!(client.rest().await?, b"", "{row}");
        if arrives {
            eventually("the request behind it", async || {
                Ok((fixture.reached() == [EXEC, "/pods"]).then_some(()))
            })
            .await
            .context(row)?;
        }
        assert_eq!(fixture.reached().len(), 1 + usize::from(arrives), "{row}");
    }
    Ok(())
}

#[test]
fn every_start_script_refuses_the_envoy_without_the_fix() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (script, arguments, said_of_it) in [
        ("kubelet", &["--address", "127.0.0.1", "--node", "worker-1"][..], "has CVE-2026-73548"),
        ("approver", &["--api-server", "127.0.0.1:6443"], "has CVE-2026-73548"),
        ("sidecar", &[], "is too old"),
    ] {
        for (envoy, is_refused) in
            [(other("1.38")?, true), (other("1.39")?, false), (binary()?, false)]
        {
            let output = Command::new(project().join("envoy").join(script).join("start"))
                .args(arguments)
                .current_dir(folder.path())
                .env("ENVOY_BIN", &envoy)
                .output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said.contains(said_of_it), is_refused, "{script} {envoy:?}: {said}");
            // Nothing else that it needs is in the folder.
            assert!(!output.status.success(), "{script} {envoy:?}");
        }
    }
    Ok(())
}

/// What `envoy/istio/README.md` looks for, where a version doesn't tell.
#[test]
fn the_name_of_the_switch_tells_whether_an_envoy_has_the_fix() -> anyhow::Result<()> {
    for (envoy, has_it) in [(other("1.38")?, false), (other("1.39")?, true), (binary()?, true)] {
        let program = fs::read(&envoy)?;
        let found = program.windows(SWITCH.len()).any(|bytes| bytes == SWITCH.as_bytes());
        assert_eq!(found, has_it, "{}", envoy.display());
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "a test says what is wrong by panicking")]
fn leave_out_the_filter(shipped: &mut Value) {
    let filters =
        "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = shipped.pointer_mut(filters).and_then(Value::as_array_mut);
    let filters = filters.expect("the filters of the first listener");
    let before = filters.len();
    filters.retain(|filter| filter["name"] != "gatelet");
    assert_eq!(filters.len(), before - 1, "the filter has another name");
}

/// The Envoy of another minor version, which `make` puts into the `PATH`.
fn other(minor: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([project().join(".tools/bin")])
        .map(|folder| folder.join(format!("envoy-{minor}")))
        .find(|envoy| envoy.exists())
        .with_context(|| format!("no envoy-{minor}: run `make test-envoy-versions`"))
}
