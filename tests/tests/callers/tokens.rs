//! Callers with a token in place of a certificate: metrics-server and Prometheus as they are usually
//! installed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use gatelet_certs::Flaw;
use gatelet_tests::client::{Dialer, RawClient, Response, get};
use gatelet_tests::command::render;
use gatelet_tests::envoy::{Shipped, project};
use gatelet_tests::gate::{POLICY, Profile};

use crate::support::{Certificate, SCRAPE, Setup, TOKEN, everything};

#[tokio::test]
async fn without_a_certificate_there_is_nothing_but_metrics_whatever_the_policy_says()
-> anyhow::Result<()> {
    let setup = Setup::start(true, &everything(true)?).await?;
    let nobody = setup.dialer(Certificate::Missing)?;
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
    let nobody = setup.dialer(Certificate::Missing)?;
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
    assert_eq!(get(&setup.dialer(Certificate::Valid)?, "/metrics").await?.status, 200);
    assert_eq!(get(&setup.dialer(Certificate::Valid)?, "/pods").await?.status, 403);
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

#[tokio::test]
async fn tokens_change_one_word_of_the_shipped_configuration() -> anyhow::Result<()> {
    let setup = Setup::start(true, &everything(true)?).await?;
    let folder = setup.gate.folder();
    // It knows its version, and is content with nothing: the script has written its file by then.
    let envoy = folder.join("envoy");
    fs::write(&envoy, "#!/bin/sh\n[ \"$1\" = --version ] && echo 'envoy version: 0/1.40.0/x'\n")?;
    fs::set_permissions(&envoy, Permissions::from_mode(0o755))?;
    let start = |configuration: &str, tokens: bool| {
        fs::write(folder.join("given.yaml"), configuration)?;
        fs::write(folder.join(POLICY), everything(tokens)?)?;
        let mut start = Command::new(project().join("envoy/kubelet/start"));
        start.args(["--config", "given.yaml", "--address", "192.0.2.10", "--node", "node.invalid"]);
        start.args(tokens.then_some("--tokens"));
        start.env("ENVOY_BIN", &envoy).env("GATELET_BIN", "true").current_dir(folder);
        anyhow::Ok(String::from_utf8(start.output()?.stderr)?)
    };
    let shipped = project().join("envoy/kubelet/envoy.yaml");
    let yaml = fs::read_to_string(&shipped)?;
    let json = Shipped::read(&shipped)?.as_json().to_string();
    for (configuration, was, is) in [
        (&yaml, "require_client_certificate: true", "require_client_certificate: false"),
        (&json, "\"require_client_certificate\":true", "\"require_client_certificate\":false"),
    ] {
        for (tokens, wanted) in
            [(false, configuration), (true, &configuration.replacen(was, is, 1))]
        {
            let said = start(configuration, tokens)?;
            assert_eq!(&fs::read_to_string(folder.join("envoy.node.yaml"))?, wanted, "{said}");
        }
        let none = configuration.replace(was, is);
        let other = configuration.replacen(was, is, 1);
        for odd in [none, other] {
            let said = start(&odd, true)?;
            let refusal = "start: --tokens changes one `require_client_certificate: true`";
            assert!(said.contains(refusal), "{said}");
        }
    }
    Ok(())
}

/// Nobody's token goes to somebody who only has the kubelet's port.
#[tokio::test]
async fn only_this_nodes_kubelet_gets_tokens() -> anyhow::Result<()> {
    let mut setup = Setup::start(true, &everything(true)?).await?;
    let nobody = setup.dialer(Certificate::Missing)?;
    assert_eq!(ask(&nobody, "GET", SCRAPE, "").await?.status, 200);
    for (flaw, counter) in
        [(Flaw::WrongName, "fail_verify_san"), (Flaw::WrongCa, "fail_verify_error")]
    {
        setup.replace_kubelet(flaw).await?;
        let answer = ask(&nobody, "GET", SCRAPE, "").await?;
        assert_eq!((answer.status, &*answer.text()), (503, "Kubelet unavailable"), "{flaw:?}");
        assert_eq!(setup.kubelet.requests().len(), 0, "{flaw:?}");
        let counter = format!("cluster.kubelet-tokens.ssl.{counter}");
        assert_eq!(setup.gate.admin().stat(&counter).await?, 1, "{flaw:?}");
    }
    Ok(())
}

/// If the policy in force doesn't know of tokens any more, nor does the gate.
#[tokio::test]
async fn an_update_that_knows_of_no_tokens_shuts_their_bearers_out() -> anyhow::Result<()> {
    let setup = Setup::start(true, &everything(true)?).await?;
    let nobody = setup.dialer(Certificate::Missing)?;
    assert_eq!(ask(&nobody, "GET", SCRAPE, "").await?.status, 200);
    setup.gate.update_policy(&everything(false)?).await?;
    assert_eq!(ask(&nobody, "GET", SCRAPE, "").await?.status, 403);
    assert_eq!(get(&setup.dialer(Certificate::Valid)?, SCRAPE).await?.status, 200);
    Ok(())
}

/// The shipped policy with metrics for the API server, and for tokens.
fn scrape() -> anyhow::Result<String> {
    let rego = project().join("rego");
    let [peers, tokens] =
        ["kubeadm-v1.29.yaml", "scrape.yaml"].map(|name| rego.join("examples").join(name));
    render(&[
        rego.as_os_str(),
        "--tokens".as_ref(),
        "--data".as_ref(),
        peers.as_os_str(),
        "--data".as_ref(),
        tokens.as_os_str(),
    ])
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
