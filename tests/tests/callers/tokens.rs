//! Callers with a token in place of a certificate, and everything else that could make a request
//! arrive with more rights than its caller has.

use std::collections::BTreeMap;

use gatelet_certs::{Flaw, Persona};
use gatelet_core::config::{TOKEN_CLUSTER, Written, WrittenPolicy};
use gatelet_tests::client::{Dialer, RawClient, Response, get};
use gatelet_tests::command::render;
use gatelet_tests::envoy::project;
use gatelet_tests::fixture::ALL;
use gatelet_tests::gate::{self, Gate, Options, Profile};
use gatelet_tests::kubelet::{self, Account, Recorded, StandInKubelet, User, Webhook};
use gatelet_tests::policy;
use tempfile::TempDir;

const SCRAPE: &str = "/metrics/resource";
/// As whom requests arrive.
const GATE: &str = "O=gatelet, CN=gatelet:worker-1";
const NOBODY: &str = "nobody";
const METRICS_SERVER: &str = "system:serviceaccount:kube-system:metrics-server";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtcyJ9.c2lnbmVk-_";

/// The client certificates with which a connection can be made, and whose rights they give.
const CERTIFICATES: [(&str, Option<Option<Flaw>>); 4] = [
    ("a valid certificate", Some(None)),
    ("no certificate", None),
    ("an expired certificate", Some(Some(Flaw::Expired))),
    ("a certificate of another CA", Some(Some(Flaw::WrongCa))),
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

/// With a policy that allows everything, so that nothing but the gate itself holds anybody back.
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
                    let answer = send(&dialer, &[authorization, headers].concat()).await;
                    let arrivals = setup.kubelet.requests().split_off(arrived);
                    arrived += arrivals.len();
                    let arrivals: Vec<_> = arrivals.iter().map(Arrival::of).collect();
                    let status = answer.as_ref().ok().map(|answer| answer.status);
                    let by_token = |user| Arrival { user, credentials: vec!["authorization"] };
                    let want = match (certificate, reading) {
                        (Some(None), _) => {
                            (Some(200), vec![Arrival { user: GATE, credentials: vec![] }])
                        }
                        (None, Token::Valid) if tokens => {
                            (Some(200), vec![by_token(METRICS_SERVER)])
                        }
                        (None, Token::Bogus) if tokens => (Some(401), vec![by_token(NOBODY)]),
                        (None, Token::Denied) if tokens => (Some(403), vec![]),
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

#[tokio::test]
async fn without_a_certificate_there_is_nothing_but_metrics_whatever_the_policy_says()
-> anyhow::Result<()> {
    let setup = Setup::start(true, &everything(true)?).await?;
    let nobody = setup.dialer(None)?;
    for target in ["/metrics", "/metrics/cadvisor", "/healthz"] {
        assert_eq!(ask(&nobody, "GET", target, "").await?.status, 200, "{target}");
    }
    let reached = setup.kubelet.requests().len();
    const SPDY: &str = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n";
    for (method, target, headers) in [
        ("GET", "/pods", ""),
        ("GET", "/containerLogs/default/web-0/app", ""),
        ("GET", "/configz", ""),
        ("DELETE", "/metrics/slis", ""),
        ("POST", "/run/default/web-0/app?cmd=id", "Content-Length: 0\r\n"),
        ("POST", "/exec/default/web-0/app?command=id&output=1", SPDY),
        ("GET", "/exec/default/web-0/app?command=id&output=1", SPDY),
        (
            "POST",
            "/portForward/default/web-0",
            "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n",
        ),
    ] {
        let answer = ask(&nobody, method, target, headers).await?;
        let told = (answer.status, &*answer.text());
        assert_eq!(told, (403, "Denied by policy"), "{method} {target}");
    }
    assert_eq!(setup.kubelet.requests().len(), reached, "something arrived that was denied");
    Ok(())
}

#[tokio::test]
async fn the_preset_lets_metrics_server_scrape_and_the_kubelet_has_the_last_word()
-> anyhow::Result<()> {
    let setup = Setup::start(true, &scrape()?).await?;
    let nobody = setup.dialer(None)?;
    for (target, status) in [
        (SCRAPE, 200),
        // The account may get `nodes/metrics`, and the kubelet asks.
        ("/stats/summary", 403),
        // The policy's data doesn't list it.
        ("/healthz", 403),
    ] {
        assert_eq!(ask(&nobody, "GET", target, "").await?.status, status, "{target}");
    }
    let reached: Vec<_> =
        setup.kubelet.requests().iter().map(|it| it.target().into_owned()).collect();
    assert_eq!(reached, [SCRAPE, "/stats/summary"]);

    let record =
        setup.gate.decisions().wait_for("the decision", |it| it["response_code"] == 200).await?;
    assert_eq!(record["decision"]["rule"], "scrape", "{record}");
    let peer = &record["decision"]["input"]["peer"];
    assert_eq!((&peer["authenticated"], &peer["bearer_token"]), (&false.into(), &true.into()));
    assert!(!record.to_string().contains(TOKEN), "{record}");

    // Who has a certificate goes on as before.
    assert_eq!(get(&setup.dialer(Some(None))?, "/metrics").await?.status, 200);
    assert_eq!(get(&setup.dialer(Some(None))?, "/pods").await?.status, 403);
    // And the listener for monitoring wants one, still.
    let monitoring = setup.gate.monitoring(None)?;
    assert!(get(&monitoring, "/metrics").await.is_err());
    Ok(())
}

#[tokio::test]
async fn start_refuses_tokens_that_policy_or_kubelet_know_nothing_of() -> anyhow::Result<()> {
    for (profile, tokens, policy, message) in [
        (Profile::Owned, true, everything(true)?, "--tokens is for profile hardened"),
        (Profile::Hardened, true, everything(false)?, "is rendered not to let tokens in"),
        (Profile::Hardened, false, everything(true)?, "is rendered to let tokens in"),
    ] {
        let error = Setup::start_as(profile, tokens, &policy).await.err().map(|it| it.to_string());
        assert!(error.as_ref().is_some_and(|it| it.contains(message)), "no {message:?}: {error:?}");
    }
    Ok(())
}

/// If the policy in force doesn't know of tokens any more, nor does the gate.
#[tokio::test]
async fn an_update_that_knows_of_no_tokens_shuts_their_bearers_out() -> anyhow::Result<()> {
    let setup = Setup::start(true, &everything(true)?).await?;
    let nobody = setup.dialer(None)?;
    assert_eq!(ask(&nobody, "GET", SCRAPE, "").await?.status, 200);
    setup.gate.update_policy(&everything(false)?).await?;
    assert_eq!(ask(&nobody, "GET", SCRAPE, "").await?.status, 403);
    assert_eq!(get(&setup.dialer(Some(None))?, SCRAPE).await?.status, 200);
    Ok(())
}

/// A gate before a kubelet that asks the API server.
struct Setup {
    gate: Gate,
    kubelet: StandInKubelet,
    cluster: gatelet_certs::Cluster,
    _scratch: TempDir,
}

impl Setup {
    async fn start(tokens: bool, policy: &str) -> anyhow::Result<Self> {
        Self::start_as(Profile::Hardened, tokens, policy).await
    }

    async fn start_as(profile: Profile, tokens: bool, policy: &str) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = gate::cluster()?;
        let metrics_server = Account {
            name: METRICS_SERVER.to_owned(),
            may_get: vec!["metrics".to_owned(), "healthz".to_owned()],
        };
        let webhook = Webhook { tokens: BTreeMap::from([(TOKEN.to_owned(), metrics_server)]) };
        let kubelet = StandInKubelet::start(kubelet::Options {
            webhook: Some(webhook),
            ..profile.kubelet(&cluster, scratch.path())?
        })?;
        let options =
            Options { profile, tokens, ..Options::new(&cluster, kubelet.address(), policy) };
        let gate = Gate::start(options).await?;
        Ok(Self { gate, kubelet, cluster, _scratch: scratch })
    }

    fn dialer(&self, certificate: Option<Option<Flaw>>) -> anyhow::Result<Dialer> {
        let apiserver = Persona::ApiserverKubeletClient;
        let identity = match certificate {
            None => None,
            Some(None) => Some(self.cluster.issue(apiserver)?.into()),
            Some(Some(flaw)) => Some(self.cluster.flawed(apiserver, flaw)?.into()),
        };
        self.gate.dialer(identity.as_ref())
    }
}

/// Everything that is readable, with or without tokens.
fn everything(tokens: bool) -> anyhow::Result<String> {
    let modules = [("policy.rego".to_owned(), ALL.to_owned())].into();
    policy::extension_config(&Written {
        policy: WrittenPolicy { modules, ..WrittenPolicy::default() },
        token_cluster: tokens.then(|| TOKEN_CLUSTER.to_owned()),
        ..Written::default()
    })
}

/// The shipped policy with metrics for tokens, and metrics for the API server.
fn scrape() -> anyhow::Result<String> {
    let data = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    std::fs::write(
        data.path(),
        "kubelet:\n\
         \x20 peers:\n\
         \x20   - common_name: kube-apiserver-kubelet-client\n\
         \x20     organization: kubeadm:cluster-admins\n\
         \x20     presets: [observe]\n\
         \x20 scrape:\n\
         \x20   endpoints: [metrics, stats]\n",
    )?;
    let shipped = project().join("rego/kubelet");
    render(&[shipped.as_os_str(), "--tokens".as_ref(), "--data".as_ref(), data.path().as_os_str()])
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

/// Asks with the valid token.
async fn ask(
    dialer: &Dialer,
    method: &str,
    target: &str,
    headers: &str,
) -> anyhow::Result<Response> {
    let mut client = RawClient::connect(dialer).await?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: worker-1:10250\r\nAuthorization: Bearer {TOKEN}\r\n{headers}\r\n"
    );
    client.send(request.as_bytes()).await?;
    client.response().await
}

/// Asks for the metrics with these lines.
async fn send(dialer: &Dialer, lines: &[&str]) -> anyhow::Result<Response> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("GET {SCRAPE} HTTP/1.1\r\nHost: worker-1:10250\r\n{lines}\r\n");
    let mut client = RawClient::connect(dialer).await?;
    client.send(request.replace("<token>", TOKEN).as_bytes()).await?;
    client.response().await
}
