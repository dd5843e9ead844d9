//! What callers get when the kubelet doesn't do its part.

use std::fs;
use std::time::Duration;

use gatelet_certs::{Flaw, Persona};
use gatelet_tests::client::{RawClient, get};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, EXEC, Fixture, LOG, Setup};
use gatelet_tests::gate::Profile;
use gatelet_tests::kubelet::Fault;
use hyper::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_kubelet_that_fails_is_told_apart_in_the_log_and_not_by_callers() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let elsewhere = "https://elsewhere.invalid/".to_owned();
    for (fault, status, body, arrived, flags, counter) in [
        (Fault::RefuseConnections, 503, "Kubelet unavailable", 0, "UF", "cx_connect_fail"),
        // After two seconds.
        (Fault::NeverGreet, 503, "Kubelet unavailable", 0, "UF", "cx_connect_timeout"),
        (Fault::Reset, 503, "Kubelet unavailable", 1, "UC", "cx_destroy_remote_with_active_rq"),
        (Fault::BreakOff, 200, "the first bytes", 1, "UPE", "cx_destroy_remote_with_active_rq"),
        (Fault::RedirectTo(StatusCode::FOUND, elsewhere), 302, "", 1, "-", "rq_302"),
    ] {
        let row = format!("{fault:?}");
        let breaks_off = matches!(fault, Fault::BreakOff);
        fixture.replace_kubelet(|kubelet| kubelet.fault = Some(fault)).await?;
        let log = fixture.gate.decisions().from_now_on()?;
        let mut client = RawClient::connect(&fixture.apiserver()?).await?;
        client.send_request("GET", LOG).await?;
        let head = client.head().await?;
        assert_eq!((head.status, head.header("location")), (status, None), "{row}");
        assert_eq!(client.exactly(body.len()).await?, body.as_bytes(), "{row}");
        if breaks_off {
            assert_eq!(head.header("content-length").as_deref(), Some("1000"), "{row}");
            assert_eq!(client.rest().await?, b"", "{row}");
        }

        assert_eq!(fixture.reached().len(), arrived, "{row}");
        let ended = |record: &Value| record["log_type"] == "DownstreamEnd";
        let record = log.wait_for(&row, ended).await?;
        assert_eq!(record["decision"]["reason"], "allowed", "{row}: {record}");
        assert_eq!(record["response_flags"], flags, "{row}: {record}");
        if flags != "-" {
            let failed = |record: &Value| record.get("failed").is_some();
            let failed = log.wait_for(&row, failed).await?;
            assert_eq!(failed["response_flags"], flags, "{row}: {failed}");
        }
        let counter = format!("cluster.kubelet.upstream_{counter}");
        assert_ne!(fixture.gate.admin().stat(&counter).await?, 0, "{row}");
    }
    assert_eq!(fixture.decided("containerLogs", "allowed").await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_slow_kubelet_has_a_minute_unless_it_streams() -> anyhow::Result<()> {
    let shorter = |configuration: &mut Value| {
        let routes = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config\
                      /route_config/virtual_hosts/0/routes/0/route/timeout";
        let timeout = configuration.pointer_mut(routes).expect("the route of quick answers");
        assert_eq!(*timeout, json!("60s"));
        *timeout = json!("0.2s");
    };
    let setup = Setup {
        kubelet_fault: Some(Fault::Slow(Duration::from_millis(400))),
        change: shorter,
        ..Setup::default()
    };
    let fixture = Fixture::start_as(ALL, setup).await?;
    let rows = [
        ("/metrics", 504),
        ("/metrics/cadvisor", 504),
        ("/stats/summary", 504),
        ("/healthz", 504),
        ("/pods", 504),
        ("/configz", 504),
        (LOG, 200),
        ("/runningpods/", 200),
    ];
    for (target, status) in rows {
        let log = fixture.gate.decisions().from_now_on()?;
        let answer = get(&fixture.apiserver()?, target).await?;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        let record = log.wait_for(target, |record| record["response_code"] == status).await?;
        assert_eq!(record["decision"]["reason"], "allowed", "{record}");
        assert_eq!(record["response_flags"], if status == 504 { "UT" } else { "-" }, "{record}");
    }
    assert_eq!(fixture.reached(), rows.map(|(target, _)| target));
    assert_eq!(fixture.gate.admin().stat("cluster.kubelet.upstream_rq_timeout").await?, 6);
    Ok(())
}

/// What a caller sends behind an upgrade was never judged: it must not become a request.
#[tokio::test]
async fn an_upgrade_that_does_not_last_ends_the_connection() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let elsewhere = "https://elsewhere.invalid/".to_owned();
    for (fault, status) in [
        (Fault::AnswerUpgradesWith(StatusCode::OK), 200),
        (Fault::RedirectTo(StatusCode::FOUND, elsewhere), 302),
        (Fault::AnswerUpgradesWith(StatusCode::FORBIDDEN), 403),
        (Fault::AnswerUpgradesWith(StatusCode::INTERNAL_SERVER_ERROR), 500),
        (Fault::CloseUpgraded, 101),
    ] {
        let row = format!("{fault:?}");
        fixture.replace_kubelet(|kubelet| kubelet.fault = Some(fault)).await?;
        let log = fixture.gate.decisions().from_now_on()?;
        let mut client = RawClient::connect(&fixture.apiserver()?).await?;
        let upgrade = format!(
            "POST {EXEC} HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\nConnection: Upgrade\r\n\
             Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
        );
        client.send(format!("{upgrade}GET /pods HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).await?;
        let answer = client.response().await?;
        assert_eq!((answer.status, answer.header("location")), (status, None), "{row}");
        assert_eq!(client.rest().await?, b"", "{row}");
        assert_eq!(fixture.reached(), [EXEC], "{row}");
        let ended = |record: &Value| record["log_type"] == "DownstreamEnd";
        let record = log.wait_for(&row, ended).await?;
        assert_eq!(record["decision"]["reason"], "allowed", "{row}: {record}");
        assert_eq!(record["response_code"], status, "{row}: {record}");
    }
    assert_eq!(fixture.decided("exec", "allowed").await?, 5);
    assert_eq!(fixture.decided("pods", "allowed").await?, 0);
    Ok(())
}

#[tokio::test]
async fn only_this_nodes_kubelet_gets_requests() -> anyhow::Result<()> {
    for (profile, persona, flaws) in [
        (
            Profile::Owned,
            Persona::KubeletServingOwned,
            &[Flaw::WrongName, Flaw::NoNames, Flaw::WrongCa, Flaw::Expired][..],
        ),
        (Profile::Hardened, Persona::KubeletServingHardened, &[Flaw::WrongName]),
    ] {
        let mut fixture = Fixture::start_as(ALL, Setup { profile, ..Setup::default() }).await?;
        let apiserver = fixture.apiserver()?;
        assert_eq!(get(&apiserver, LOG).await?.status, 200, "{profile:?}");
        assert_eq!(fixture.reached(), [LOG], "{profile:?}");
        for flaw in flaws {
            let serving = fixture.cluster.flawed(persona, *flaw)?;
            fixture.replace_kubelet(|kubelet| kubelet.serving = serving.into()).await?;
            let log = fixture.gate.decisions().from_now_on()?;
            let answer = get(&apiserver, LOG).await?;
            let row = format!("{profile:?} {flaw:?}");
            assert_eq!((answer.status, &*answer.text()), (503, "Kubelet unavailable"), "{row}");
            assert_eq!(fixture.reached(), Vec::<String>::new(), "{row}");
            let decided = log.wait_for(&row, is_about("containerLogs")).await?;
            assert_eq!(decided["response_flags"], "UF", "{row}: {decided}");
            let failed = log.wait_for(&row, |record| record.get("failed").is_some()).await?;
            let reason = failed["failed"]["reason"].as_str();
            assert!(reason.is_some_and(|text| text.contains("TLS_error")), "{row}: {failed}");
            assert_eq!(failed["connection_id"], decided["connection_id"], "{row}");
        }
        let failed = async |why| {
            fixture.gate.admin().stat(&format!("cluster.kubelet.ssl.fail_verify_{why}")).await
        };
        let counted = failed("error").await? + failed("san").await?;
        assert_eq!(counted, flaws.len() as u64, "{profile:?}");
    }
    Ok(())
}

/// Envoy's reason quotes the names in the kubelet's certificate.
#[tokio::test]
async fn a_kubelet_writes_nothing_of_its_own_into_the_log() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let serving = fixture.cluster.flawed(Persona::KubeletServingOwned, Flaw::HostileName)?;
    fixture.replace_kubelet(|kubelet| kubelet.serving = serving.into()).await?;
    assert_eq!(get(&fixture.apiserver()?, LOG).await?.status, 503);
    let decisions = fixture.gate.decisions();
    let failed = |record: &Value| record.get("failed").is_some();
    let record = decisions.wait_for("the reason", failed).await?;
    let reason = record["failed"]["reason"].as_str();
    assert!(reason.is_some_and(|text| text.contains("elsewhere")), "{record}");
    decisions.wait_for("the decision", is_about("containerLogs")).await?;
    assert_eq!(decisions.records()?.len(), 2);
    let log = fs::read(decisions.path())?;
    let odd = log.iter().find(|byte| !matches!(byte, b'\n' | b' '..=b'~'));
    assert_eq!(odd, None, "{}", log.escape_ascii());
    Ok(())
}
