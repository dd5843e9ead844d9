//! `gatelet matrix`.

use serde_json::Value;

use crate::support::{done, folder, gatelet, project};

/// The shipped policies with data.
const PEERS: (&str, &str) = (
    "peers.yaml",
    "kubelet:
  peers:
    - {common_name: apiserver, organization: operators, presets: [observe, logs, operate]}
    - {common_name: prometheus, organization: monitoring, presets: [observe]}
  logs: {namespaces: [default]}
  operate:
    - {namespaces: [default], pod_prefixes: [web-], containers: [app], exec: [{command: [df, -h]}]}
    - namespaces: [debug]
      pods: [box-0]
      containers: [app]
      exec: [{command: [sh], stdin: true, tty: true}]
      port_forward: true
",
);

/// A policy of one's own, whose names are in its rules.
const OWN: (&str, &str) = (
    "rego/own.rego",
    r#"package kubelet.authz

default decision := false

decision := {"allow": true, "rule": "shop"} if {
	input.endpoint == "exec"
	input.namespace in shops
	startswith(input.pod, "cart-")
	input.container == "app"
	input.exec.command == ["<id>"]
}

else := {"allow": true, "rule": "admin"} if {
	input.endpoint == "exec"
	input.peer.common_name == "admin"
	input.namespace == "lab"
	input.exec.command == ["id", "-u"]
	input.pod != "_cart"
	input.method == "GET"
}

shops := {"shop"}
"#,
);

#[test]
fn each_caller_has_the_answers_of_the_gate() {
    let matrix = json(&shipped(&[]));
    let apiserver = "CN=apiserver,O=operators";
    for (caller, endpoint, column, want) in [
        (apiserver, "logs", "default", "allowed (logs)"),
        (apiserver, "logs", "debug", "denied"),
        (apiserver, "logs", "any other namespace", "denied"),
        (apiserver, "exec, output only", "default", "some: web-*/app: df -h (operate/exec)"),
        (apiserver, "exec with input", "default", "denied"),
        (apiserver, "exec with a terminal", "debug", "some: box-0/app: sh (operate/exec)"),
        (apiserver, "exec with environment", "debug", "denied"),
        (apiserver, "port-forward", "debug", "some: box-0 (operate/port-forward)"),
        (apiserver, "port-forward", "default", "denied"),
        (apiserver, "run", "default", "denied"),
        (apiserver, "checkpoint", "default", "denied"),
        (apiserver, "metrics", "the node", "allowed (observe)"),
        (apiserver, "reset of metrics", "the node", "denied"),
        (apiserver, "pods", "the node", "denied"),
        ("CN=prometheus,O=monitoring", "health", "the node", "allowed (observe)"),
        ("CN=prometheus,O=monitoring", "logs", "default", "nothing"),
        ("CN=apiserver,O=somewhere (the name of a peer)", "metrics", "the node", "nothing"),
        ("CN=system:node:worker-2,O=system:nodes (another node)", "logs", "default", "nothing"),
        (
            "CN=kubernetes-admin,O=kubeadm:cluster-admins (a cluster administrator)",
            "metrics",
            "the node",
            "nothing",
        ),
        ("no certificate", "metrics", "the node", "nothing"),
    ] {
        assert_eq!(cell(&matrix, caller, endpoint, column), want, "{caller}: {endpoint}, {column}");
    }
}

#[test]
fn names_are_found_in_the_rules_too() {
    let folder = folder(&[OWN]);
    let run = done(folder.path(), &["matrix", "rego", "--format", "json"]);
    assert_eq!(run.err, "warning: `_cart` is no name of a pod, so that no request has it\n");
    let matrix = json(&run.out);
    for (caller, endpoint, column, want) in [
        ("CN=admin", "exec, output only", "any other namespace", "denied"),
        ("CN=admin", "logs", "lab", "denied"),
    ] {
        assert_eq!(cell(&matrix, caller, endpoint, column), want, "{caller}: {endpoint}, {column}");
    }
    let lab = cell(&matrix, "CN=admin", "exec, output only", "lab");
    assert!(lab.contains("cart-*/any other container: id -u by GET (admin)"), "{lab}");
    assert!(!lab.contains("POST"), "{lab}");
    let names = |key: &str| {
        matrix[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("namespaces"), ["lab", "shop", "any other namespace"]);
    assert_eq!(names("pods"), ["cart-*", "any other pod"]);
}

#[test]
fn each_endpoint_is_asked_as_kubelets_understand_it() {
    let folder = folder(&[("rego/all.rego", "package kubelet.authz\n\ndecision := true\n")]);
    let matrix = json(&done(folder.path(), &["matrix", "rego", "--format", "json"]).out);
    let callers = matrix["sections"][0]["callers"].as_array().unwrap().len();
    assert_eq!(matrix["callers"], callers + 1, "all but the one without a certificate");
    for table in matrix["sections"][0]["tables"].as_array().unwrap() {
        for row in table["rows"].as_array().unwrap() {
            for cell in row["cells"].as_array().unwrap() {
                assert_eq!(cell["answer"], "allowed", "{row}");
            }
        }
    }
}

#[test]
fn it_says_that_it_is_a_sample_and_how_large() {
    let out = shipped(&["--format", "text"]);
    let matrix = json(&shipped(&[]));
    let sections = matrix["sections"].as_array().unwrap();
    let callers: usize =
        sections.iter().map(|section| section["callers"].as_array().unwrap().len()).sum();
    let asked = format!("Asked: {} requests of {callers} callers.\n", matrix["requests"]);
    assert!(out.contains(&asked), "{out}");
    assert!(
        out.contains("This is a sample: a policy may depend on what was not asked.\n"),
        "{out}"
    );
    assert!(
        out.contains("│ logs                     ┆ denied   ┆ allowed (logs) ┆ denied "),
        "{out}"
    );
    assert!(
        out.contains("[1] box-0/app: sh (operate/exec); the rest of 36 requests is denied\n"),
        "{out}"
    );
    assert!(!out.contains('\u{1b}'), "{out}");
}

#[test]
fn more_can_be_asked_about() {
    let options = [
        "--peer",
        "CN=prometheus,O=monitoring,OU=x",
        "--peer",
        "CN=me",
        "--namespace",
        "extra",
        "--pod",
        "p-1",
        "--container",
        "c-1",
        "--command",
        "ls -l",
    ];
    let matrix = json(&shipped(&options));
    assert_eq!(
        cell(&matrix, "CN=prometheus,O=monitoring,OU=x", "health", "the node"),
        "allowed (observe)"
    );
    assert_eq!(cell(&matrix, "CN=me", "health", "the node"), "nothing");
    assert_eq!(cell(&matrix, "CN=apiserver,O=operators", "logs", "extra"), "denied");
    for (key, name) in
        [("namespaces", "extra"), ("pods", "p-1"), ("containers", "c-1"), ("commands", "ls -l")]
    {
        assert!(matrix[key].as_array().unwrap().contains(&name.into()), "{key}: {}", matrix[key]);
    }
}

#[test]
fn a_token_is_asked_for_where_tokens_are_let_in() {
    let scrape = project().join("rego/examples/scrape.yaml").display().to_string();
    let token = "no certificate, a bearer token";
    let matrix = json(&shipped(&["--data", &scrape, "--tokens"]));
    assert_eq!(cell(&matrix, token, "metrics", "the node"), "allowed (scrape)");
    assert_eq!(cell(&matrix, token, "health", "the node"), "denied");
    assert_eq!(cell(&matrix, "no certificate", "metrics", "the node"), "nothing");
    let without = shipped(&["--data", &scrape]);
    assert!(!without.contains(token), "{without}");
}

#[test]
fn a_dry_run_shows_what_the_policy_says() {
    let until = ["--dry-run-until", "2999-01-01T00:00:00Z"];
    let matrix = json(&shipped(&until));
    assert_eq!(cell(&matrix, "CN=apiserver,O=operators", "pods", "the node"), "denied");
    assert_eq!(
        cell(&matrix, "CN=apiserver,O=operators", "metrics", "the node"),
        "allowed (observe)"
    );
    let out = shipped(&[&until[..], &["--format", "text"]].concat());
    assert!(
        out.contains("A dry run forwards what the policy denies to its peers until 2999-01-01"),
        "{out}"
    );
}

#[test]
fn markdown_and_html_say_the_same_and_bring_nothing_along() {
    let folder = folder(&[OWN]);
    let of = |format| done(folder.path(), &["matrix", "rego", "--format", format]).out;
    let markdown = of("markdown");
    assert!(markdown.contains("\n|  | lab | shop | any other namespace |\n| --- | --- | --- | --- |\n| logs | denied | denied | denied |\n"), "{markdown}");
    assert!(markdown.contains("cart-\\*/app: \\<id\\>"), "{markdown}");
    let html = of("html");
    assert!(html.contains("<td class=\"some\">some [1]</td>"), "{html}");
    assert!(html.contains("cart-*/app: &lt;id&gt;"), "{html}");
    for forbidden in ["<script", "<id>", "http://", "https://", "url("] {
        assert!(!html.contains(forbidden), "{forbidden}: {html}");
    }
}

#[test]
fn other_profiles_have_no_matrix() {
    let rego = project().join("rego").display().to_string();
    let folder = folder(&[]);
    for (profile, want) in [
        ("http", "the matrix is about a kubelet's endpoints"),
        ("csr", "the approver's policy decides about certificate signing requests"),
    ] {
        let run = gatelet(folder.path(), &["matrix", &rego, "--profile", profile]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{profile}");
        assert!(run.err.contains(want), "{profile}: {}", run.err);
    }
}

/// The matrix of the shipped policies as JSON, or as the options have it.
fn shipped(options: &[&str]) -> String {
    let rego = project().join("rego").display().to_string();
    let folder = folder(&[PEERS]);
    let format: &[&str] = if options.contains(&"--format") { &[] } else { &["--format", "json"] };
    let policy = ["matrix", rego.as_str(), "--data", "peers.yaml"];
    done(folder.path(), &[&policy[..], format, options].concat()).out
}

fn json(out: &str) -> Value {
    serde_json::from_str(out).unwrap()
}

/// A cell in words, with what its note allows.
fn cell(matrix: &Value, caller: &str, endpoint: &str, column: &str) -> String {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rules = |value: &Value| {
        let rules: Vec<_> = list(&value["rules"]).iter().map(text).collect();
        if rules.is_empty() { String::new() } else { format!(" ({})", rules.join(", ")) }
    };
    let section = list(&matrix["sections"])
        .into_iter()
        .find(|section| list(&section["callers"]).contains(&caller.into()))
        .unwrap_or_else(|| panic!("no {caller}"));
    let table = list(&section["tables"])
        .into_iter()
        .find(|table| list(&table["columns"]).contains(&column.into()))
        .unwrap();
    let index = list(&table["columns"]).iter().position(|name| name == column).unwrap();
    let Some(row) = list(&table["rows"]).into_iter().find(|row| row["endpoint"] == endpoint) else {
        assert_eq!(table["rows"], Value::Array(Vec::new()), "{endpoint}");
        return "nothing".to_owned();
    };
    let cell = &row["cells"][index];
    match cell["answer"].as_str().unwrap() {
        "some" => {
            let note = list(&section["notes"])
                .into_iter()
                .find(|note| note["number"] == cell["note"])
                .unwrap();
            let allowed: Vec<_> = list(&note["allowed"])
                .iter()
                .map(|allowed| format!("{}{}", text(&allowed["what"]), rules(allowed)))
                .collect();
            format!("some: {}", allowed.join(", "))
        }
        "allowed" => format!("allowed{}", rules(cell)),
        answer => answer.to_owned(),
    }
}
