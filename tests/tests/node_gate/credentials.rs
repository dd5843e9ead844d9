//! The gate's certificate speaks for the caller, and nothing else does.

use gatelet_tests::client::RawClient;
use gatelet_tests::fixture::{ALL, Fixture, LOG};

#[tokio::test]
async fn credentials_of_a_caller_stay_behind() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    // With one, Envoy takes the caller for somebody outside; without, it must do so, too.
    for forwarded_for in ["", "X-Forwarded-For: 192.0.2.1\r\n"] {
        let mut client = RawClient::connect(&fixture.apiserver()?).await?;
        let request = format!(
            "GET {LOG} HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer t\r\nImpersonate-User: admin\r\n\
             Impersonate-Extra-a: b\r\nX-Remote-Group: system:masters\r\nX-Remote-Extra-a: b\r\n\
             X-Envoy-Retry-On: 5xx\r\n{forwarded_for}Accept: text/plain\r\n\r\n"
        );
        client.send(request.as_bytes()).await?;
        assert_eq!(client.response().await?.status, 200);
        let reached = fixture.kubelet.requests().pop().expect("a request");
        let names = reached.headers.iter().map(|(name, _)| name.as_str());
        let names: Vec<_> = names.filter(|name| *name != "x-forwarded-for").collect();
        assert_eq!(names, ["host", "accept", "x-forwarded-proto"], "{forwarded_for}");
        assert_eq!(reached.header("x-forwarded-for").len(), usize::from(!forwarded_for.is_empty()));
    }
    Ok(())
}
