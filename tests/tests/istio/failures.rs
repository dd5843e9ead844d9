//! Fail closed: a missing module, a broken policy, a module that traps.

use std::path::Path;

use gatelet_tests::client::RawClient;
use gatelet_tests::deadline::eventually;
use gatelet_tests::module::Module;

use crate::caller::Asking;
use crate::control_plane::Istio;
use crate::manifest::{FailStrategy, WasmPlugin};
use crate::mesh::{Mesh, WEB, peers, plugin};

const ALLOWED: &str = "/api/catalogue/7";

/// The agent puts a filter in the place of a module that it can't fetch: it denies everything, unless
/// the manifest says FAIL_OPEN.
#[tokio::test]
async fn a_module_that_cannot_be_fetched_denies_everything() -> anyhow::Result<()> {
    let mut plugin = plugin(&peers())?;
    for (strategy, status) in
        [(FailStrategy::Reload, 403), (FailStrategy::Close, 403), (FailStrategy::Open, 200)]
    {
        plugin.spec.fail_strategy = strategy;
        let istio = Istio::V1_30;
        let mesh = Mesh::given(istio.resource(&plugin), istio.not_fetched(&plugin), |_| {}).await?;
        assert_eq!(answer(&mesh).await?, status, "{strategy:?}");
        assert_eq!(mesh.service.targets().len(), usize::from(status == 200), "{strategy:?}");
        // As soon as it is there, it decides.
        mesh.proxy.update(&istio.fetched(&plugin, &Module::Shipped.path()?))?;
        becomes(&mesh, 200).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_broken_from_the_start_lets_nothing_through() -> anyhow::Result<()> {
    let istio = Istio::V1_30;
    let sound = plugin(&peers())?;
    let module = Module::Shipped.path()?;
    for (row, ecds) in [
        ("no module in the file", istio.fetched(&sound, Path::new("/dev/null"))),
        ("a policy that is none", istio.fetched(&broken(&sound), &module)),
        ("no policy", istio.fetched(&WasmPlugin::shipped("sidecar.yaml")?, &module)),
    ] {
        let mesh = Mesh::given(istio.resource(&sound), ecds, |_| {}).await?;
        assert_eq!(answer(&mesh).await?, 500, "{row}");
        assert_eq!(mesh.service.targets(), Vec::<String>::new(), "{row}");
        mesh.proxy.update(&istio.fetched(&sound, &module))?;
        becomes(&mesh, 200).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_update_leaves_the_old_policy_in_force() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    assert_eq!(answer(&mesh).await?, 200);
    let ecds = Istio::V1_30.fetched(&broken(&plugin(&peers())?), &Module::Shipped.path()?);
    mesh.proxy.update(&ecds)?;
    let rejected = "wasmcustom.gatelet_policy_updates.rejected";
    mesh.proxy.admin().wait_for_stat(rejected, |count| count > 0).await?;
    assert_eq!(answer(&mesh).await?, 200);
    let denied = Asking::get("/api/orders").to(&mesh.caller(WEB)?).await?;
    assert_eq!(denied.status, 403);
    Ok(())
}

/// FAIL_CLOSE would leave the worker denying for ever: why the manifests say FAIL_RELOAD.
#[tokio::test]
async fn a_trap_costs_one_request_and_with_fail_close_all_that_follow() -> anyhow::Result<()> {
    let mut plugin = plugin(&peers())?;
    let istio = Istio::V1_30;
    for (strategy, is_back) in [(FailStrategy::Reload, true), (FailStrategy::Close, false)] {
        plugin.spec.fail_strategy = strategy;
        let ecds = istio.fetched(&plugin, &Module::Faulty.path()?);
        let mesh = Mesh::given(istio.resource(&plugin), ecds, |_| {}).await?;
        // One connection, so one worker.
        let mut client = RawClient::connect(&mesh.caller(WEB)?).await?;
        let mut ask = async |fault: &str| {
            let lines = format!("Host: catalogue.shop\r\n{fault}\r\n");
            client.send(format!("GET {ALLOWED} HTTP/1.1\r\n{lines}").as_bytes()).await?;
            Ok::<_, anyhow::Error>(client.response().await?.status)
        };
        assert_eq!(ask("").await?, 200, "{strategy:?}");
        assert_eq!(ask("X-Fault: before-decision\r\n").await?, 503, "{strategy:?}");
        assert_eq!(mesh.service.targets(), [ALLOWED], "{strategy:?}");
        if is_back {
            eventually("the filter to be back", async || Ok((ask("").await? == 200).then_some(())))
                .await?;
        } else {
            for _ in 0..100 {
                assert_eq!(ask("").await?, 503, "{strategy:?}");
            }
            assert_eq!(mesh.service.targets(), Vec::<String>::new(), "{strategy:?}");
        }
    }
    Ok(())
}

fn broken(plugin: &WasmPlugin) -> WasmPlugin {
    let mut broken = plugin.clone();
    broken.spec.plugin_config["policy"]["modules"]["authz/authz.rego"] =
        "package http.authz\n\ndecision := {".into();
    broken
}

async fn answer(mesh: &Mesh) -> anyhow::Result<u16> {
    Ok(Asking::get(ALLOWED).to(&mesh.caller(WEB)?).await?.status)
}

async fn becomes(mesh: &Mesh, status: u16) -> anyhow::Result<()> {
    eventually("the sound plugin", async || Ok((answer(mesh).await? == status).then_some(()))).await
}
