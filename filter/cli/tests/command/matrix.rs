//! `gatelet matrix`.

use serde::Deserialize;

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
    assert_eq!(matrix.namespaces, ["lab", "shop", "any other namespace"]);
    assert_eq!(matrix.pods, ["cart-*", "any other pod"]);
}

#[test]
fn each_endpoint_is_asked_as_kubelets_understand_it() {
    let folder = folder(&[("rego/all.rego", "package kubelet.authz\n\ndecision := true\n")]);
    let matrix = json(&done(folder.path(), &["matrix", "rego", "--format", "json"]).out);
    let section = matrix.sections.first().unwrap();
    assert_eq!(matrix.callers, section.callers.len() + 1, "all but the one without a certificate");
    for row in section.tables.iter().flat_map(|table| &table.rows) {
        for cell in &row.cells {
            assert!(matches!(cell, Cell::Allowed { .. }), "{}", row.endpoint);
        }
    }
}

#[test]
fn it_says_that_it_is_a_sample_and_how_large() {
    let out = shipped(&["--format", "text"]);
    let matrix = json(&shipped(&[]));
    let callers: usize = matrix.sections.iter().map(|section| section.callers.len()).sum();
    let asked = format!("Asked: {} requests of {callers} callers.\n", matrix.requests);
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
    let rego = project().join("rego").display().to_string();
    let folder = folder(&[(
        "peers.yaml",
        "kubelet: {peers: [{common_name: prometheus, organization: monitoring, presets: [observe]}]}",
    )]);
    let policy = ["matrix", &rego, "--data", "peers.yaml", "--format", "json"];
    let peers = ["--peer", "CN=prometheus,O=monitoring,OU=x", "--peer", "CN=me"];
    let names =
        ["--namespace", "extra", "--pod", "p-1", "--container", "c-1", "--command", "ls -l"];
    let options = [&policy[..], &peers, &names].concat();
    let matrix = json(&done(folder.path(), &options).out);
    for (caller, want) in [
        ("CN=prometheus,O=monitoring", "allowed (observe)"),
        ("CN=prometheus,O=monitoring,OU=x", "allowed (observe)"),
        ("CN=me", "nothing"),
    ] {
        assert_eq!(cell(&matrix, caller, "health", "the node"), want, "{caller}");
    }
    for (names, name) in [
        (&matrix.namespaces, "extra"),
        (&matrix.pods, "p-1"),
        (&matrix.containers, "c-1"),
        (&matrix.commands, "ls -l"),
    ] {
        assert!(names.iter().any(|other| other == name), "{name}: {names:?}");
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
        ("csr", "nothing for the approver's policy"),
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

fn json(out: &str) -> Matrix {
    serde_json::from_str(out).unwrap()
}

#[derive(Deserialize)]
struct Matrix {
    requests: usize,
    callers: usize,
    namespaces: Vec<String>,
    pods: Vec<String>,
    containers: Vec<String>,
    commands: Vec<String>,
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    callers: Vec<String>,
    tables: Vec<Table>,
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    endpoint: String,
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Cell {
    Allowed { rules: Vec<String> },
    Denied,
    Some { note: usize },
}

#[derive(Deserialize)]
struct Note {
    number: usize,
    allowed: Vec<Allowed>,
}

#[derive(Deserialize)]
struct Allowed {
    what: String,
    rules: Vec<String>,
}

/// A cell in words, with what its note allows.
fn cell(matrix: &Matrix, caller: &str, endpoint: &str, column: &str) -> String {
    let rules = |rules: &[String]| match rules {
        [] => String::new(),
        rules => format!(" ({})", rules.join(", ")),
    };
    let has = |names: &[String], name: &str| names.iter().any(|other| other == name);
    let section = matrix.sections.iter().find(|section| has(&section.callers, caller)).unwrap();
    let table = section.tables.iter().find(|table| has(&table.columns, column)).unwrap();
    if table.rows.is_empty() {
        return "nothing".to_owned();
    }
    let row = table.rows.iter().find(|row| row.endpoint == endpoint).unwrap();
    let at = table.columns.iter().position(|name| name == column).unwrap();
    match row.cells.get(at).unwrap() {
        Cell::Allowed { rules: names } => format!("allowed{}", rules(names)),
        Cell::Denied => "denied".to_owned(),
        Cell::Some { note } => {
            let note = section.notes.iter().find(|other| other.number == *note).unwrap();
            let allowed =
                note.allowed.iter().map(|one| format!("{}{}", one.what, rules(&one.rules)));
            format!("some: {}", allowed.collect::<Vec<_>>().join(", "))
        }
    }
}
