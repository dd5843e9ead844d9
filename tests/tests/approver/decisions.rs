//! What becomes of requests, and what is told about it.

use std::collections::BTreeSet;

use gatelet_core::csr::{Mode, Written};
use gatelet_tests::api_server::{EVENTS, Permission, REQUESTS, User};
use gatelet_tests::csr::{KUBELET_CLIENT, KUBELET_SERVING};
use gatelet_tests::gate;
use serde_json::json;

use crate::support::{Fixture, READABLE, Setup, api_server, conditions, worker};

#[tokio::test]
async fn a_good_request_is_approved_and_a_bad_one_denied_with_reasons() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    let requested = fixture.ask("good")?;
    let mut bad = requested.spec.clone();
    bad["request"] = json!("");
    fixture.server.add_request("bad", &bad);

    let issued = fixture.issued("good").await?;
    assert_eq!(conditions(&issued), [("Approved".to_owned(), "It can be read.".to_owned())]);
    assert_eq!(issued["status"]["conditions"][0]["reason"], "PolicyApproved");
    assert_eq!(fixture.decided("bad").await?[0].0, "Denied");

    for (name, verdict, reason) in
        [("good", "approve", "PolicyApproved"), ("bad", "deny", "PolicyDenied")]
    {
        fixture
            .server
            .wait_for(&format!("the event of {name}"), EVENTS, |event| {
                event["involvedObject"]["name"] == name && event["reason"] == reason
            })
            .await?;
        let logged = |record: &serde_json::Value| record["input"]["name"] == name;
        let record = fixture.approver.decisions().wait_for("the record", logged).await?;
        assert_eq!(record["result"], verdict, "{record}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_decided_or_issued_is_left_alone() -> anyhow::Result<()> {
    let (cluster, mut before) = (gate::cluster()?, Vec::new());
    let server = api_server(&cluster)?;
    let spec = worker(1).request()?.spec;
    let condition = |kind: &str| json!({"conditions": [{"type": kind, "status": "True"}]});
    for (name, status) in [
        ("approved", condition("Approved")),
        ("denied", condition("Denied")),
        ("failed", condition("Failed")),
        ("issued", json!({"certificate": "eA=="})),
    ] {
        server.add_request_with(name, &spec, &status);
        before.push(server.object(REQUESTS, name));
    }
    let fixture = Fixture::start_before(cluster, server, Setup::rego(READABLE)?).await?;
    fixture.ask("later")?;
    fixture.issued("later").await?;
    let after = ["approved", "denied", "failed", "issued"];
    let after = after.map(|name| fixture.server.object(REQUESTS, name));
    assert_eq!(after.as_slice(), before);
    Ok(())
}

#[tokio::test]
async fn a_dry_run_writes_nothing() -> anyhow::Result<()> {
    let settings = Written { mode: Mode::DryRun, ..Written::default() };
    let fixture = Fixture::start_as(Setup::of(settings, READABLE)?).await?;
    fixture.ask("good")?;
    let mut bad = worker(1).request()?.spec;
    bad["request"] = json!("");
    fixture.server.add_request("bad", &bad);
    fixture.approver.wait_for("gatelet_approver_would_approve", |count| count > 0).await?;
    fixture.approver.wait_for("gatelet_approver_would_deny", |count| count > 0).await?;
    let record = fixture
        .approver
        .decisions()
        .wait_for("the record", |record| record["input"]["name"] == "good")
        .await?;
    assert_eq!((&record["result"], &record["dry_run"]), (&json!("approve"), &json!(true)));

    let verbs = fixture.server.requests();
    let writes = verbs.iter().filter(|asked| {
        let Permission { verb, resource, .. } = &asked.permission;
        !matches!(verb.as_str(), "get" | "list" | "watch") && resource != "subjectaccessreviews"
    });
    assert_eq!(writes.count(), 0);
    assert_eq!(fixture.server.history(REQUESTS, "good").len(), 1);
    Ok(())
}

#[tokio::test]
async fn client_certificates_are_left_alone_unless_asked_for() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    let mut client = worker(1).request()?.spec;
    client["signerName"] = json!(KUBELET_CLIENT);
    fixture.server.add_request("client", &client);
    fixture.ask("serving")?;
    fixture.issued("serving").await?;
    assert_eq!(fixture.server.history(REQUESTS, "client").len(), 1);

    // Asked for, and still the API server's roles have the last word.
    let signers = vec![KUBELET_SERVING.to_owned(), KUBELET_CLIENT.to_owned()];
    let settings = Written { signers, ..Written::default() };
    let always = r#"
package csr.approval

decision := {"decision": "approve", "rule": "any", "reason": "Whatever it is."}
"#;
    fixture.approver.update_policy(&Setup::of(settings, always)?.policy).await?;
    let refused = |asked: &[gatelet_tests::api_server::Recorded]| {
        asked.iter().any(|asked| !asked.allowed && asked.permission.verb == "approve")
    };
    fixture.server.wait_for_requests("the refused approval", refused).await?;
    assert_eq!(fixture.server.history(REQUESTS, "client").len(), 1);
    fixture.ask("another")?;
    fixture.issued("another").await?;
    Ok(())
}

/// What is granted is used, and nothing else is tried.
#[tokio::test]
async fn the_shipped_roles_grant_what_is_used() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    fixture.ask("good")?;
    fixture.issued("good").await?;
    fixture.server.wait_for("the event", EVENTS, |_| true).await?;
    let watched = |asked: &[gatelet_tests::api_server::Recorded]| {
        asked.iter().any(|asked| asked.permission.verb == "watch")
    };
    fixture.server.wait_for_requests("a watch", watched).await?;

    let user = User::new("gatelet-approver", &[]);
    let granted = fixture.server.granted(&user);
    let used: BTreeSet<_> = fixture
        .server
        .requests()
        .into_iter()
        .map(|asked| {
            assert!(asked.allowed, "{}", asked.permission);
            let names_matter = asked.permission.verb == "approve";
            let name = asked.permission.name.filter(|_| names_matter);
            Permission { name, ..asked.permission }
        })
        .collect();
    let list = |permissions: BTreeSet<Permission>| {
        permissions.iter().map(Permission::to_string).collect::<Vec<_>>()
    };
    assert_eq!(list(used), list(granted));
    Ok(())
}
