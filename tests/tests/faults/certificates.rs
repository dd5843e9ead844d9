//! Certificates that are wrong, or become so while their connections are open.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use gatelet_certs::{Ca, Flaw, Pair, Persona};
use gatelet_tests::client::{Dialer, Follow, OpenError, RawClient, RemoteCommand, Session, get};
use gatelet_tests::command::render;
use gatelet_tests::deadline::eventually;
use gatelet_tests::envoy::{is_about, project};
use gatelet_tests::fixture::{ALL, Fixture, LOG, Setup};
use gatelet_tests::gate::{self, Update};
use gatelet_tests::kubelet::User;
use serde_json::{Value, json};

use crate::authority::Authority;

#[tokio::test]
async fn only_a_valid_client_certificate_of_the_cluster_gets_through() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = Persona::ApiserverKubeletClient;
    let flawed = |flaw| anyhow::Ok(Some(fixture.cluster.flawed(apiserver, flaw)?.into()));
    for (who, certificate, reason) in [
        ("nobody", None, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        ("wrong CA", flawed(Flaw::WrongCa)?, "unable_to_get_local_issuer_certificate"),
        ("expired", flawed(Flaw::Expired)?, "certificate_has_expired"),
        ("not yet valid", flawed(Flaw::NotYetValid)?, "certificate_is_not_yet_valid"),
        ("wrong usage", flawed(Flaw::WrongUsage)?, "unsupported_certificate_purpose"),
    ] {
        let answer = get(&fixture.gate.dialer(certificate.as_ref())?, LOG).await;
        assert!(answer.is_err(), "{who}: {answer:?}");
        fixture.gate.decisions().wait_for(&format!("{who}: {reason}"), refused(reason)).await?;
    }
    assert_eq!(fixture.reached(), Vec::<String>::new());
    let counted = async |why| {
        fixture.gate.admin().stat(&format!("listener.127.0.0.1_0.ssl.fail_verify_{why}")).await
    };
    assert_eq!((counted("no_cert").await?, counted("error").await?), (1, 4));

    assert_eq!(get(&fixture.caller(apiserver)?, LOG).await?.status, 200);
    assert_eq!(fixture.reached(), [LOG]);
    Ok(())
}

#[tokio::test]
async fn renewed_certificates_and_cas_are_for_new_connections_and_open_ones_stay()
-> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let mut open = Open::start(&apiserver).await?;
    let old = open.client.tls().peer_certificates().map(<[_]>::to_vec);

    let new = fixture.cluster.issue(Persona::GateServing)?;
    fixture.gate.rotate_serving(&new)?;
    eventually("the renewed certificate", async || {
        let new = RawClient::connect(&apiserver).await?;
        Ok(new.tls().peer_certificates().filter(|new| Some(*new) != old.as_deref()).map(drop))
    })
    .await?;
    open.works().await?;

    let authority = Authority::new()?;
    fixture.gate.rotate_serving(&Pair { ca: authority.pem(), ..new })?;
    let other = fixture.gate.dialer(Some(&authority.client(1, HOUR)?))?;
    admitted(&[&other, &apiserver], &[true, false]).await?;
    let reason = "unable_to_get_local_issuer_certificate";
    fixture.gate.decisions().wait_for(reason, refused(reason)).await?;
    open.works().await?;

    // Towards the kubelet, connections are kept: each of these takes another one.
    let mut taken = Vec::new();
    let before = user(&fixture);
    let client = fixture.cluster.issue(Persona::GateClientOwned)?;
    fixture.gate.rotate_client(&client)?;
    eventually("the renewed client at the kubelet", async || {
        taken.push(Follow::open(&other, FOLLOW).await?);
        Ok((user(&fixture) != before).then_some(()))
    })
    .await?;
    let strangers = gate::cluster()?.authority(Ca::Gate).certificate().to_owned();
    fixture.gate.rotate_client(&Pair { ca: strangers, ..client })?;
    eventually("the kubelet to be a stranger", async || {
        match Follow::open(&other, FOLLOW).await {
            Ok(follow) => taken.push(follow),
            Err(OpenError::Refused(answer)) if answer.status == 503 => return Ok(Some(())),
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    })
    .await?;
    open.session_works().await
}

#[tokio::test]
async fn an_expired_certificate_opens_no_connection_and_its_open_ones_stay() -> anyhow::Result<()> {
    let (fixture, authority) = trusting_an_authority().await?;
    let caller = fixture.gate.dialer(Some(&authority.client(1, Duration::from_secs(6))?))?;
    let mut open = Open::start(&caller).await?;
    admitted(&[&caller], &[false]).await?;
    let reason = "certificate_has_expired";
    fixture.gate.decisions().wait_for(reason, refused(reason)).await?;
    open.works().await
}

#[tokio::test]
async fn a_revoked_certificate_opens_no_connection_and_its_open_ones_stay() -> anyhow::Result<()> {
    let (fixture, authority) = trusting_an_authority().await?;
    let caller = |serial| fixture.gate.dialer(Some(&authority.client(serial, HOUR)?));
    let (revoked, other) = (caller(1)?, caller(2)?);
    let callers = [&revoked, &other, &fixture.apiserver()?];
    admitted(&callers, &[true; 3]).await?;
    let mut open = Open::start(&revoked).await?;

    let shipped = fs::read_to_string(fixture.gate.folder().join("sds/callers.yaml"))?;
    let whole_chain = shipped.replace("# crl:", "crl:");
    assert_ne!(whole_chain, shipped);
    let leaf_only = whole_chain.replace("crl:", "only_verify_leaf_cert_crl: true\n    crl:");
    let now = SystemTime::now();
    let list = authority.list(&[1], now + HOUR)?;
    let outdated = authority.list(&[1], now)?;
    let both = format!("{list}{}", authority.list_of_root()?);
    // Whose CA has no list is refused: so is the API server here.
    for (row, secret, list, reason, admits) in [
        ("the signer's", &leaf_only, &list, "certificate_revoked", [false, true, false]),
        ("an outdated one", &leaf_only, &outdated, "CRL_has_expired", [false; 3]),
        ("both", &whole_chain, &both, "certificate_revoked", [false, true, false]),
        ("the root's missing", &whole_chain, &list, "unable_to_get_certificate_CRL", [false; 3]),
    ] {
        let log = fixture.gate.decisions().from_now_on()?;
        fixture.gate.install("certs/serving/ca.crl", list)?;
        fixture.gate.install("sds/callers.yaml", secret)?;
        admitted(&callers, &admits).await.context(row)?;
        // Once more: what it was refused for may have been the list before.
        assert!(get(&revoked, LOG).await.is_err(), "{row}");
        log.wait_for(reason, refused(reason)).await?;
        open.works().await?;
    }
    Ok(())
}

/// At the next request, on whatever connection: that is what the list is for.
#[tokio::test]
async fn a_denied_certificate_gets_nothing_more_on_its_open_connection() -> anyhow::Result<()> {
    let data = json!({"kubelet": {
        "peers": [{
            "common_name": "kube-apiserver-kubelet-client",
            "organization": "kubeadm:cluster-admins",
            "presets": ["logs", "operate"],
        }],
        "logs": {"namespaces": ["default"]},
        "operate": [{
            "namespaces": ["default"],
            "pods": ["web-0"],
            "containers": ["app"],
            "exec": [{"command": ["cat"], "stdin": true}],
        }],
    }});
    let folder = tempfile::tempdir()?;
    let render = |data: &Value| {
        let file = folder.path().join("data.json");
        fs::write(&file, data.to_string())?;
        render(&[project().join("rego"), "--data".into(), file])
    };
    let fixture = Fixture::start_with(&render(&data)?, Setup::default()).await?;
    let caller = fixture.cluster.issue(Persona::ApiserverKubeletClient)?.into();
    let mut open = Open::start(&fixture.gate.dialer(Some(&caller))?).await?;
    open.works().await?;
    let record = fixture.gate.decisions().wait_for("the exec", is_about("exec")).await?;

    let mut data = data;
    let digest = &record["decision"]["input"]["peer"]["certificate_sha256"];
    data["kubelet"]["denied_certificates"] = json!([digest]);
    assert_eq!(fixture.gate.update_policy(&render(&data)?).await?, Update::Applied);
    let reached = fixture.reached();
    open.client.send_request("GET", LOG).await?;
    assert_eq!(open.client.response().await?.status, 403);
    assert_eq!(fixture.reached(), reached);
    assert_eq!(fixture.decided("containerLogs", "denied").await?, 1);
    // No policy decides on what is the gate's own.
    let monitoring = fixture.gate.monitoring(Some(&caller))?;
    assert_eq!(get(&monitoring, "/metrics").await?.status, 200);
    open.session_works().await
}

const HOUR: Duration = Duration::from_secs(3600);
const FOLLOW: &str = "/containerLogs/default/web-0/app?follow=true";

/// What was open before something went wrong: a kept-alive connection, and an exec.
struct Open {
    client: RawClient,
    session: Session,
}

impl Open {
    async fn start(caller: &Dialer) -> anyhow::Result<Self> {
        let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
        let session = cat.start(caller).await?;
        Ok(Self { client: RawClient::connect(caller).await?, session })
    }

    async fn works(&mut self) -> anyhow::Result<()> {
        self.client.send_request("GET", LOG).await?;
        assert_eq!(self.client.response().await?.status, 200, "on the connection from before");
        self.session_works().await
    }

    async fn session_works(&mut self) -> anyhow::Result<()> {
        self.session.send(b"undisturbed\n").await?;
        self.session.read_until("undisturbed").await.map(drop)
    }
}

/// A gate that takes callers of an authority beside those of its cluster.
async fn trusting_an_authority() -> anyhow::Result<(Fixture, Authority)> {
    let (fixture, authority) = (Fixture::start(ALL).await?, Authority::new()?);
    let serving = fixture.cluster.issue(Persona::GateServing)?;
    let ca = serving.ca.clone() + &authority.pem();
    fixture.gate.rotate_serving(&Pair { ca, ..serving })?;
    let caller = fixture.gate.dialer(Some(&authority.client(0, HOUR)?))?;
    admitted(&[&caller], &[true]).await?;
    Ok((fixture, authority))
}

/// Waits until these callers, on new connections, are admitted or refused as it is said.
async fn admitted(callers: &[&Dialer], want: &[bool]) -> anyhow::Result<()> {
    eventually(&format!("{want:?}"), async || {
        let mut admitted = Vec::new();
        for caller in callers {
            admitted.push(get(caller, LOG).await.is_ok());
        }
        Ok((admitted == want).then_some(()))
    })
    .await
}

/// Whose certificate the newest request at the kubelet had.
fn user(fixture: &Fixture) -> Option<User> {
    fixture.kubelet.requests().pop().map(|request| request.user)
}

/// Whether a record is of a handshake that failed for this reason.
fn refused(reason: &str) -> impl Fn(&Value) -> bool {
    move |record| {
        let found = record.pointer("/refused/reason").and_then(Value::as_str);
        found.is_some_and(|text| text.contains(reason))
    }
}
