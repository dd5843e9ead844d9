//! The data in `rego/examples`, with the shipped policies.

use gatelet_core::{Gate, Reason};
use serde_json::json;

use crate::support::{ask, configuration, done, folder, gate, project, write};

const LOGS: &str = "GET /containerLogs/default/web-0/app";
const SPDY: &[(&str, &str)] = &[
    ("connection", "Upgrade"),
    ("upgrade", "SPDY/3.1"),
    ("x-stream-protocol-version", "v4.channel.k8s.io"),
];

#[test]
fn each_cluster_s_api_server_is_pinned_and_nobody_else() {
    let pinned = [
        ("kubeadm-v1.28", "CN=kube-apiserver-kubelet-client,O=system:masters"),
        ("kubeadm-v1.29", "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"),
        ("kubeadm-v1.36", "CN=kube-apiserver-kubelet-client"),
        ("k3s", "CN=system:apiserver,O=system:masters"),
        ("eks", "CN=kube-apiserver-kubelet-client,O=system:masters"),
    ];
    let others = [
        "CN=system:node:worker-2,O=system:nodes",
        "CN=system:kube-scheduler",
        "CN=kubernetes-admin,O=kubeadm:cluster-admins",
        "CN=kubernetes-super-admin,O=system:masters",
    ];
    for (example, apiserver) in pinned {
        let gate = example_gate(&[example]);
        assert_eq!(ask(&gate, apiserver, LOGS, &[]), Reason::Allowed, "{example}");
        assert_eq!(ask(&gate, apiserver, "GET /metrics", &[]), Reason::Allowed, "{example}");
        assert_eq!(ask(&gate, apiserver, "GET /pods", &[]), Reason::Denied, "{example}");
        for other in pinned.map(|(_, subject)| subject).iter().chain(&others) {
            let want = if *other == apiserver { Reason::Allowed } else { Reason::Denied };
            assert_eq!(ask(&gate, other, LOGS, &[]), want, "{example}: {other}");
        }
    }
}

#[test]
fn tokens_scrape_only_where_the_filter_lets_them_in() {
    let examples = project().join("rego/examples");
    let [peers, scrape] =
        ["kubeadm-v1.29.yaml", "scrape.yaml"].map(|name| examples.join(name).display().to_string());
    let rego = project().join("rego").display().to_string();
    let folder = folder(&[]);
    for (options, cluster, warnings) in
        [(&["--tokens"][..], Some("kubelet-tokens"), 0), (&[], None, 1)]
    {
        let render = ["render", &rego, "--data", &peers, "--data", &scrape, "-o", "p.json"];
        let run = done(folder.path(), &[&render, options].concat());
        assert_eq!(run.err.matches("warning: ").count(), warnings, "{}", run.err);
        assert_eq!(run.err.contains("without `--tokens`"), warnings > 0, "{}", run.err);
        let gate = gate(&folder.path().join("p.json"));
        assert_eq!(gate.config().token_cluster.as_deref(), cluster);
    }
}

#[test]
fn kubectl_cp_works_where_it_is_granted() {
    let gate = example_gate(&["kubectl-cp", "peers"]);
    let exec = |pod: &str, query: &str| {
        let request = format!("POST /exec/shop/{pod}/app?{query}&output=1&error=1");
        ask(&gate, APISERVER, &request, SPDY)
    };
    let keep = "command=tar&command=-xmf&command=-&command=-C&command=%2Fdata&input=1";
    let drop = "command=tar&command=--no-same-permissions&command=--no-same-owner&command=-xmf\
                &command=-&command=-C&command=%2Fdata&input=1";
    let out = "command=tar&command=cf&command=-&command=%2Fdata%2Freport.csv";
    for query in ["command=test&command=-d&command=%2Fdata", keep, drop, out] {
        assert_eq!(exec("db-0", query), Reason::Allowed, "{query}");
        assert_eq!(exec("db-1", query), Reason::Denied, "{query}");
        let elsewhere = query.replace("%2Fdata", "%2Fetc");
        assert_eq!(exec("db-0", &elsewhere), Reason::Denied, "{elsewhere}");
    }
    for query in [
        "command=tar&command=cf&command=-&command=%2Fdata",
        "command=tar&command=cf&command=-&command=%2Fdata%2Freport.csv&command=%2Fetc%2Fshadow",
        "command=sh&command=-c&command=tar+cf+-+%2Fdata%2Freport.csv",
        "command=tar&command=cf&command=-&command=%2Fdata%2Freport.csv&tty=1",
    ] {
        assert_eq!(exec("db-0", query), Reason::Denied, "{query}");
    }
}

#[test]
fn operate_grants_what_its_comments_say() {
    let gate = example_gate(&["operate", "peers"]);
    for (request, want) in [
        ("POST /exec/default/db-0/app?command=df&command=-h&output=1", Reason::Allowed),
        (
            "POST /exec/default/web-7d4b9c6f5-x2x8z/app?command=df&command=-h&output=1",
            Reason::Allowed,
        ),
        ("POST /exec/default/db-0/sidecar?command=df&command=-h&output=1", Reason::Denied),
        ("POST /exec/default/db-0/app?command=sh&input=1&output=1&tty=1", Reason::Denied),
        ("POST /attach/default/db-0/app?output=1", Reason::Denied),
        ("POST /exec/debug/toolbox-0/toolbox?command=sh&input=1&output=1&tty=1", Reason::Allowed),
        ("POST /exec/debug/toolbox-0/toolbox?command=bash&input=1&output=1&tty=1", Reason::Denied),
        ("POST /attach/debug/toolbox-0/toolbox?input=1&output=1&tty=1", Reason::Allowed),
        ("POST /attach/batch/report-1/any?output=1", Reason::Allowed),
        ("POST /attach/batch/report-1/any?input=1&output=1", Reason::Denied),
        ("POST /exec/batch/report-1/any?command=df&command=-h&output=1", Reason::Denied),
    ] {
        assert_eq!(ask(&gate, APISERVER, request, SPDY), want, "{request}");
    }
    let forward = |path| {
        let headers = [SPDY[0], SPDY[1], ("x-stream-protocol-version", "portforward.k8s.io")];
        ask(&gate, APISERVER, path, &headers)
    };
    assert_eq!(forward("POST /portForward/debug/toolbox-0"), Reason::Allowed);
    assert_eq!(forward("POST /portForward/default/db-0"), Reason::Denied);
}

#[test]
fn services_are_known_by_their_spiffe_id() {
    let folder = folder(&[]);
    let rego = project().join("rego");
    let example = rego.join("examples/http.yaml");
    let file = folder.path().join("p.json");
    done(
        folder.path(),
        &[
            "render",
            rego.to_str().unwrap(),
            "--profile",
            "http",
            "--data",
            example.to_str().unwrap(),
            "-o",
            "p.json",
        ],
    );
    assert_eq!(configuration(&file)["profile"], json!("http"));
    let gate = gate(&file);
    let ask = |san: &str, request| crate::support::ask_service(&gate, san, request);
    let web = "spiffe://cluster.local/ns/shop/sa/web";
    assert_eq!(ask(web, "GET /api/catalogue/7"), Reason::Allowed);
    assert_eq!(ask(web, "GET /api/orders"), Reason::Denied);
    assert_eq!(ask(web, "POST /api/catalogue/7"), Reason::Denied);
    assert_eq!(
        ask("spiffe://cluster.local/ns/shop/sa/other", "GET /api/catalogue/7"),
        Reason::Denied
    );
}

const APISERVER: &str = "CN=apiserver,O=operators";

/// The shipped policies with examples; `peers` is a peer that lists `operate`.
fn example_gate(examples: &[&str]) -> Gate {
    let folder = folder(&[]);
    let rego = project().join("rego");
    write(
        folder.path(),
        "peers.yaml",
        "kubelet: {peers: [{common_name: apiserver, organization: operators, presets: [operate]}]}",
    );
    let mut arguments = vec!["render".to_owned(), rego.display().to_string()];
    for example in examples {
        let file = match *example {
            "peers" => "peers.yaml".to_owned(),
            example => rego.join(format!("examples/{example}.yaml")).display().to_string(),
        };
        arguments.extend(["--data".to_owned(), file]);
    }
    arguments.extend(["-o".to_owned(), "p.json".to_owned()]);
    let run = done(folder.path(), &arguments);
    assert_eq!(run.err, "", "{examples:?}");
    gate(&folder.path().join("p.json"))
}
