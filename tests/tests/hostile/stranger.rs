//! What a stranger can write into the log: its certificate is in there, and nobody has verified it.

use gatelet_tests::client::get;
use gatelet_tests::fixture::{ALL, Fixture};
use gatelet_tests::tls::Identity;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::Value;

#[tokio::test]
async fn a_stranger_writes_no_control_characters_into_the_log() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    for (number, odd) in
        ["\u{9b}2J", "\u{202e}nimda", "\u{7f}\u{1b}[2J", "\"},\r\n{\""].into_iter().enumerate()
    {
        let stranger = self_signed(&format!("{number}{odd}"))?;
        let answer = get(&fixture.gate.dialer(Some(&stranger))?, "/healthz").await;
        assert!(answer.is_err(), "{answer:?}");
        let is_its = |record: &Value| {
            let subject = record.pointer("/refused/unverified_subject").and_then(Value::as_str);
            subject.is_some_and(|subject| subject.starts_with(&format!("CN={number}")))
        };
        fixture.gate.decisions().wait_for("the failed handshake", is_its).await?;
    }
    assert_eq!(fixture.gate.decisions().records()?.len(), 4, "a line for each");
    let log = std::fs::read(fixture.gate.decisions().path())?;
    let odd = log.iter().find(|byte| !matches!(byte, b'\n' | b' '..=b'~'));
    assert_eq!(odd, None, "{}", log.escape_ascii());
    assert_eq!(get(&fixture.apiserver()?, "/healthz").await?.status, 200);
    Ok(())
}

fn self_signed(common_name: &str) -> anyhow::Result<Identity> {
    let mut certificate = CertificateParams::new(Vec::new())?;
    certificate.distinguished_name.push(DnType::CommonName, common_name);
    let key = KeyPair::generate()?;
    let certificate = certificate.self_signed(&key)?;
    Ok(Identity {
        certificate: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    })
}
