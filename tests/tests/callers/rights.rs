//! Everything that could make a request arrive with more rights than its caller has: certificates,
//! tokens and headers, in every combination, and with a policy that allows everything.

use gatelet_certs::Flaw;
use gatelet_tests::client::{Dialer, RawClient, Response};
use gatelet_tests::fixture::{self, ALL, Fixture};
use gatelet_tests::kubelet::{Recorded, User};
use serde_json::Value;

use crate::support::{Certificate, METRICS_SERVER, SCRAPE, Setup, TOKEN, everything};

/// As whom requests arrive.
const GATE: &str = "O=gatelet, CN=gatelet:worker-1";
const NOBODY: &str = "nobody";

/// The client certificates with which a connection can be made, and whose rights they give.
const CERTIFICATES: [(&str, Certificate); 4] = [
    ("a valid certificate", Certificate::Valid),
    ("no certificate", Certificate::Missing),
    ("an expired certificate", Certificate::Flawed(Flaw::Expired)),
    ("a certificate of another CA", Certificate::Flawed(Flaw::WrongCa)),
];

/// What stands in `Authorization`, and what the gate makes of it without a certificate.
const TOKENS: [(&str, &[&str], Token); 9] = [
    ("no token", &[], Token::Denied),
    ("a valid token", &["Authorization: Bearer <token>"], Token::Valid),
    ("a valid token, lower case", &["authorization: bearer <token>"], Token::Valid),
    ("a bogus token", &["Authorization: Bearer bogus"], Token::Bogus),
    (
        "two tokens",
        &["Authorization: Bearer <token>", "Authorization: Bearer bogus"],
        Token::Denied,
    ),
    (
        "the same token twice",
        &["Authorization: Bearer <token>", "Authorization: Bearer <token>"],
        Token::Denied,
    ),
    ("two tokens in a line", &["Authorization: Bearer bogus, Bearer <token>"], Token::Denied),
    ("a password", &["Authorization: Basic cm9vdDpyb290"], Token::Denied),
    (
        "a nominated token",
        &["Connection: authorization", "Authorization: Bearer <token>"],
        Token::Denied,
    ),
];

/// What else a caller can write.
const HEADERS: [(&str, &[&str]); 7] = [
    ("nothing", &[]),
    (
        "impersonation",
        &[
            "Impersonate-User: system:admin",
            "Impersonate-Group: system:masters",
            "Impersonate-Uid: 0",
            "Impersonate-Extra-Scopes: all",
        ],
    ),
    (
        "a front proxy's headers",
        &[
            "X-Remote-User: system:admin",
            "X-Remote-Group: system:masters",
            "X-Remote-Uid: 0",
            "X-Remote-Extra-Scopes: all",
        ],
    ),
    (
        "a forwarded certificate",
        &[
            "X-Forwarded-Client-Cert: Hash=00;Subject=\"CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins\"",
            "X-Forwarded-For: 127.0.0.1",
        ],
    ),
    (
        "Envoy's own headers",
        &[
            "X-Envoy-Internal: true",
            "X-Envoy-External-Address: 127.0.0.1",
            "X-Envoy-Original-Path: /exec/default/web-0/app",
            "X-Envoy-Downstream-Service-Cluster: kubelet",
            "X-Envoy-Upstream-Alt-Stat-Name: kubelet",
            "X-Envoy-Retry-On: 5xx",
        ],
    ),
    ("other credentials", &["Proxy-Authorization: Bearer <token>", "Cookie: token=<token>"]),
    (
        "hop-by-hop headers",
        &[
            "Connection: close, x-remote-user, impersonate-user",
            "X-Remote-User: system:admin",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
        ],
    ),
];

/// What a caller without a certificate has in place of it, as the gate reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// The kubelet knows its user.
    Valid,
    /// It goes on, and the kubelet knows nobody by it.
    Bogus,
    /// There is not exactly one.
    Denied,
}

#[tokio::test]
async fn no_request_arrives_with_more_rights_than_its_caller_has() -> anyhow::Result<()> {
    for tokens in [false, true] {
        let setup = Setup::start(tokens, &everything(tokens)?).await?;
        let mut arrived = 0;
        for (who, certificate) in CERTIFICATES {
            let dialer = setup.dialer(certificate)?;
            for (token, authorization, reading) in TOKENS {
                for (what, headers) in HEADERS {
                    let row = format!("tokens {tokens}: {who}, {token}, {what}");
                    let answer = send(&dialer, SCRAPE, &[authorization, headers].concat()).await;
                    let arrivals = setup.kubelet.requests().split_off(arrived);
                    arrived += arrivals.len();
                    let arrivals: Vec<_> = arrivals.iter().map(Arrival::of).collect();
                    let status = answer.as_ref().ok().map(|answer| answer.status);
                    let by_token = |user| Arrival { user, credentials: vec!["authorization"] };
                    let want = match (certificate, reading) {
                        (Certificate::Valid, _) => {
                            (Some(200), vec![Arrival { user: GATE, credentials: vec![] }])
                        }
                        (Certificate::Missing, Token::Valid) if tokens => {
                            (Some(200), vec![by_token(METRICS_SERVER)])
                        }
                        (Certificate::Missing, Token::Bogus) if tokens => {
                            (Some(401), vec![by_token(NOBODY)])
                        }
                        (Certificate::Missing, Token::Denied) if tokens => (Some(403), vec![]),
                        // The handshake fails.
                        _ => (None, vec![]),
                    };
                    let said = answer.map(|answer| answer.text().into_owned());
                    assert_eq!((status, arrivals), want, "{row}: {said:?}");
                }
            }
        }
        assert!(arrived > 0, "nothing arrived at all");
    }
    Ok(())
}

/// The gate's certificate opens a shell as well, and an upgrade keeps headers that others lose.
#[tokio::test]
async fn no_credential_rides_along_on_an_upgrade() -> anyhow::Result<()> {
    let setup = Setup::start(true, &everything(true)?).await?;
    let apiserver = setup.dialer(Certificate::Valid)?;
    let tokens = TOKENS.map(|(what, lines, _)| (what, lines));
    let token_for_a_protocol = (
        "a token for a sub-protocol",
        &["Sec-Websocket-Protocol: base64url.bearer.authorization.k8s.io.dG9rZW4"][..],
    );
    let mut arrived = 0;
    for (what, lines) in tokens.iter().chain(&HEADERS).chain([&token_for_a_protocol]) {
        let upgrade = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-Websocket-Version: 13",
            "Sec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-Websocket-Protocol: v5.channel.k8s.io",
        ];
        let target = "/exec/default/web-0/app?command=id&output=1";
        let status = send(&apiserver, target, &[&upgrade, *lines].concat()).await?.status;
        let arrivals = setup.kubelet.requests().split_off(arrived);
        arrived += arrivals.len();
        let arrivals: Vec<_> = arrivals.iter().map(Arrival::of).collect();
        let is_ambiguous = lines
            .iter()
            .any(|line| line.starts_with("Connection") || line.starts_with("Sec-Websocket"));
        let want = if is_ambiguous {
            (400, vec![])
        } else {
            (101, vec![Arrival { user: GATE, credentials: vec![] }])
        };
        assert_eq!((status, arrivals), want, "{what}");
    }
    Ok(())
}

/// The filter removes credentials, and every one. Should it fail to, the route has removed these.
#[tokio::test]
async fn without_the_filter_the_best_known_credentials_stay_behind_all_the_same()
-> anyhow::Result<()> {
    let without_the_filter = |configuration: &mut Value| {
        let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config\
                       /http_filters";
        let filters = configuration.pointer_mut(filters).and_then(Value::as_array_mut);
        let filter = filters.expect("the filters of requests").remove(0);
        assert_eq!(filter["name"], "gatelet");
    };
    let setup = fixture::Setup { change: without_the_filter, ..fixture::Setup::default() };
    let fixture = Fixture::start_as(ALL, setup).await?;
    let lines = [
        "Authorization: Bearer <token>",
        "Authorization: Basic cm9vdDpyb290",
        "Impersonate-User: system:admin",
        "Impersonate-Group: system:masters",
        "Impersonate-Uid: 0",
        "X-Remote-User: system:admin",
        "X-Remote-Group: system:masters",
        "X-Remote-Uid: 0",
        "X-Forwarded-Client-Cert: Hash=00",
    ];
    assert_eq!(send(&fixture.apiserver()?, SCRAPE, &lines).await?.status, 200);
    let requests = fixture.kubelet.requests();
    let arrivals: Vec<_> = requests.iter().map(Arrival::of).collect();
    assert_eq!(arrivals, [Arrival { user: GATE, credentials: vec![] }]);
    Ok(())
}

/// As whom a request arrived, and with which credentials.
#[derive(Debug, PartialEq, Eq)]
struct Arrival<'a> {
    user: &'a str,
    credentials: Vec<&'a str>,
}

impl<'a> Arrival<'a> {
    fn of(request: &'a Recorded) -> Self {
        let user = match &request.user {
            User::Certificate(peer) => peer.subject.as_str(),
            User::Token(name) => name,
            User::Nobody => NOBODY,
        };
        let names = request.headers.iter().map(|(name, _)| name.as_str());
        let credentials = names.filter(|name| {
            let name = name.to_ascii_lowercase();
            name.contains("auth")
                || name.contains("cookie")
                || name.contains("client-cert")
                || ["impersonate", "x-remote", "x-envoy"].iter().any(|it| name.starts_with(it))
        });
        Self { user, credentials: credentials.collect() }
    }
}

/// Asks for a target with these lines.
async fn send(dialer: &Dialer, target: &str, lines: &[&str]) -> anyhow::Result<Response> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: worker-1:10250\r\n{lines}\r\n");
    let mut client = RawClient::connect(dialer).await?;
    client.send(request.replace("<token>", TOKEN).as_bytes()).await?;
    client.response().await
}
