//! The filter itself fails. The module here is the shipped one with faults on demand.

use std::fs;

use gatelet_tests::client::{RawClient, RemoteCommand, get};
use gatelet_tests::deadline::eventually;
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG, LOGS, Setup};
use gatelet_tests::gate::Update;
use gatelet_tests::module::Module;
use gatelet_tests::policy;
use serde_json::Value;

#[tokio::test]
async fn a_trap_costs_its_request_and_its_workers_sessions_and_the_filter_is_back()
-> anyhow::Result<()> {
    let fixture = faulty().await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    // Each worker has a filter of its own, and connections are dealt out evenly: each has a session.
    let sessions = [cat.start(&apiserver).await?, cat.start(&apiserver).await?];
    let mut client = RawClient::connect(&apiserver).await?;
    // What comes back is the policy in force, not the one of the start.
    assert_eq!(fixture.gate.update_policy(&policy::rego(LOGS)?).await?, Update::Applied);

    for (traps, decision) in [("before-decision", None), ("after-decision", Some("allowed"))] {
        let (log, reached) = (fixture.gate.decisions().from_now_on()?, fixture.reached());
        let request = format!("GET {LOG} HTTP/1.1\r\nHost: n\r\nX-Fault: {traps}\r\n\r\n");
        client.send(request.as_bytes()).await?;
        assert_eq!(client.response().await?.status, 503, "{traps}");
        assert_eq!(fixture.reached(), reached, "{traps}");
        let why = if decision.is_some() { "failed" } else { "refused" };
        let trapped = |record: &Value| record.get(why).is_some();
        let record = log.wait_for(traps, trapped).await?;
        assert_eq!(record[why]["reason"], "wasm_fail_stream", "{record}");
        assert_eq!(record["response_code"], 503, "{record}");
        let is_decided = |record: &Value| {
            record["response_code"] == 503 && record["decision"]["reason"].is_string()
        };
        let decided = log.records()?.into_iter().find(is_decided);
        let reason = decided.as_ref().and_then(|it| it["decision"]["reason"].as_str());
        assert_eq!(reason, decision, "{traps}");

        eventually("the filter to be back", async || {
            client.send_request("GET", LOG).await?;
            Ok((client.response().await?.status == 200).then_some(()))
        })
        .await?;
        client.send_request("GET", "/pods").await?;
        assert_eq!(client.response().await?.status, 403, "{traps}");
        log.wait_for("it in the log", |record| record["response_code"] == 403).await?;
    }
    assert_eq!(fixture.gate.admin().stat("wasm.gatelet.vm_reload_success").await?, 2);
    assert_eq!(fixture.gate.admin().stat("wasmcustom.gatelet_policy_loaded").await?, 1);

    // Whatever else went through that worker's filter is cut at its next byte.
    let mut undisturbed = 0;
    for mut session in sessions {
        session.send(b"undisturbed\n").await?;
        undisturbed += u32::from(session.read_until("undisturbed").await.is_ok());
    }
    assert_eq!(undisturbed, 1);
    let log = fixture.gate.decisions();
    let cut = |record: &Value| is_about("exec")(record) && record["log_type"] == "DownstreamEnd";
    let cut = log.wait_for("the end of the one that is cut", cut).await?;
    let why = |record: &Value| {
        record.get("failed").is_some() && record["connection_id"] == cut["connection_id"]
    };
    let why = log.wait_for("the reason", why).await?;
    assert_eq!(why["failed"]["reason"], "wasm_fail_stream", "{why}");
    Ok(())
}

#[tokio::test]
async fn a_trap_in_an_update_leaves_the_old_policy() -> anyhow::Result<()> {
    let fixture = faulty().await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let sessions = [cat.start(&apiserver).await?, cat.start(&apiserver).await?];

    let traps = format!("{ALL}\n# x-fault\n");
    assert_eq!(fixture.gate.update_policy(&policy::rego(&traps)?).await?, Update::Rejected);
    assert!(fixture.gate.envoy_log()?.contains("injected fault: configuration"));
    // Enough to come to both workers.
    for _ in 0..4 {
        assert_eq!(get(&apiserver, LOG).await?.status, 200);
    }
    assert_eq!(fixture.gate.update_policy(&policy::rego(LOGS)?).await?, Update::Applied);
    for _ in 0..4 {
        assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    }
    for mut session in sessions {
        session.send(b"undisturbed\n").await?;
        session.read_until("undisturbed").await?;
    }
    Ok(())
}

#[test]
fn no_shipped_module_traps_on_demand() -> anyhow::Result<()> {
    let faulty = Module::Faulty.path()?;
    let has_faults = |name: &str| {
        let module = fs::read(faulty.with_file_name(name))?;
        anyhow::Ok(module.windows(15).any(|bytes| bytes == b"injected fault:"))
    };
    assert!(has_faults("gatelet-faulty.wasm")?);
    for shipped in ["gatelet.wasm", "gatelet-full.wasm"] {
        assert!(!has_faults(shipped)?, "{shipped}");
    }
    Ok(())
}

async fn faulty() -> anyhow::Result<Fixture> {
    Fixture::start_as(ALL, Setup { module: Module::Faulty, ..Setup::default() }).await
}
