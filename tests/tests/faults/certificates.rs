//! Certificates that are wrong, or become so.

use gatelet_certs::{Flaw, Persona};
use gatelet_tests::client::{RawClient, get};
use gatelet_tests::deadline::eventually;
use gatelet_tests::fixture::{ALL, Fixture, LOG};

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
        let refused = |record: &serde_json::Value| {
            record["refused"]["reason"].as_str().is_some_and(|text| text.contains(reason))
        };
        fixture.gate.decisions().wait_for(&format!("{who}: {reason}"), refused).await?;
    }
    assert_eq!(fixture.reached(), Vec::<String>::new());

    assert_eq!(get(&fixture.caller(apiserver)?, LOG).await?.status, 200);
    assert_eq!(fixture.reached(), [LOG]);
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let mut open = RawClient::connect(&apiserver).await?;
    let old = open.tls().peer_certificates().map(<[_]>::to_vec);

    fixture.gate.rotate_serving(&fixture.cluster.issue(Persona::GateServing)?)?;
    eventually("the renewed certificate", async || {
        let new = RawClient::connect(&apiserver).await?;
        Ok(new.tls().peer_certificates().filter(|new| Some(*new) != old.as_deref()).map(drop))
    })
    .await?;

    open.send_request("GET", LOG).await?;
    assert_eq!(open.response().await?.status, 200, "on the connection from before");
    Ok(())
}
