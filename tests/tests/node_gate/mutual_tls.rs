//! How callers and the gate talk to each other.

use gatelet_tests::client::RawClient;
use gatelet_tests::fixture::{ALL, Fixture, LOG};
use rustls::HandshakeKind;

#[tokio::test]
async fn every_connection_shows_its_certificate() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    for attempt in ["first", "second"] {
        let mut client = RawClient::connect(&apiserver).await?;
        client.send_request("GET", LOG).await?;
        // Tickets come with the first bytes after the handshake.
        assert_eq!(client.response().await?.status, 200, "{attempt}");
        assert_eq!(client.tls().handshake_kind(), Some(HandshakeKind::Full), "{attempt}");
    }
    Ok(())
}

#[tokio::test]
async fn http_2_is_not_spoken() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let mut client = RawClient::connect(&fixture.apiserver()?).await?;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    let answer = client.response().await?;
    assert_eq!((answer.status, &*answer.text()), (400, "Malformed request"));
    assert_eq!(fixture.reached(), Vec::<String>::new());
    Ok(())
}
