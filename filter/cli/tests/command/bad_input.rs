//! Whatever is wrong has one message, which names it and the way out.

use gatelet_core::policy::{Builtins, Limits, Policy, Source};

use crate::support::{METRICS, Run, done, folder, gatelet, gatelet_with, project};

const HEAD: &str = "package kubelet.authz\n\ndefault decision := false\n";

/// Files beside a good policy, arguments, and all that is printed.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], &'static str);

const CASES: &[Case] = &[
    (
        &[("bad/authz.rego", "package kubelet.authz\n\ndecision if input.method = = 1\n")],
        &["check", "bad"],
        "gatelet: expecting expression\n --> authz.rego:3:28\n  |\n\
         3 | decision if input.method = = 1\n  |                            ^\n",
    ),
    (
        &[(
            "bad/authz.rego",
            "package kubelet.authz\n\ndefault decision := false\n\ndecision if starts_with(input.path, \"/\")\n",
        )],
        &["check", "bad"],
        "gatelet: unknown function `starts_with`\n --> authz.rego:5:13\n  |\n\
         5 | decision if starts_with(input.path, \"/\")\n  |             ^\n\
         help: is `startswith` meant?\n",
    ),
    (
        &[("bad/authz.rego", "package kubelet.authz\n\ndefault allow := false\n")],
        &["check", "bad"],
        "gatelet: there is no rule `data.kubelet.authz.decision`\n\
         help: is `data.kubelet.authz.allow` meant?\n",
    ),
    (
        &[],
        &["check", "rego", "--entrypoint", "kubelet/authz/decision"],
        "gatelet: the entry point `kubelet/authz/decision` does not begin with `data.`\n\
         help: write it as `data.kubelet.authz.decision`\n",
    ),
    (
        &[
            ("bad/authz.rego", HEAD),
            ("bad/data.json", r#"{"kubelet": {"authz": {"decision": true}}}"#),
        ],
        &["check", "bad"],
        "gatelet: the data has a value at `data.kubelet.authz.decision`, where the rule \
         `data.kubelet.authz.decision` is\n --> authz.rego:3:1\n  |\n\
         3 | default decision := false\n  | ^\nhelp: give the data or the package another name\n",
    ),
    (
        &[("bad/a.rego", HEAD), ("bad/b.rego", HEAD)],
        &["check", "bad"],
        "gatelet: `data.kubelet.authz.decision` has two defaults\n --> a.rego:3:1\n  |\n\
         3 | default decision := false\n  | ^\n  |\n ::: b.rego:3:1\n  |\n\
         3 | default decision := false\n  | ^\nhelp: keep one of them\n",
    ),
    (
        &[("bad/a_test.rego", "package a_test\n")],
        &["check", "bad"],
        "gatelet: bad has no policy\n\
         help: add at least one `.rego` file; `*_test.rego` does not count\n",
    ),
    (&[], &["check", "nowhere"], "gatelet: there is no folder nowhere\n"),
    (
        &[("data.json", r#"{"a": [{"b": 1, "b": 2}]}"#)],
        &["check", "rego", "--data", "data.json"],
        "gatelet: the key `b` stands twice\n --> data.json:1:19\n  |\n\
         1 | {\"a\": [{\"b\": 1, \"b\": 2}]}\n  |                   ^\n",
    ),
    (
        &[("data.yaml", "a: 1\nb:\n  - {c: 1, c: 2}\n")],
        &["check", "rego", "--data", "data.yaml"],
        "gatelet: duplicate mapping key: c not allowed here\n --> data.yaml:3:12\n  |\n\
         3 |   - {c: 1, c: 2}\n  |            ^\n",
    ),
    (
        &[("data.yaml", "a: .nan\n")],
        &["check", "rego", "--data", "data.yaml"],
        "gatelet: value `.nan` is not a finite number\n --> data.yaml:1:4\n  |\n1 | a: .nan\n  |    ^\n",
    ),
    (
        &[("data.yaml", "- a\n")],
        &["check", "rego", "--data", "data.yaml"],
        "gatelet: data.yaml is not an object at its top\n",
    ),
    (
        &[("data.toml", "a = 1\n")],
        &["check", "rego", "--data", "data.toml"],
        "gatelet: data.toml is neither .json nor .yaml\n",
    ),
    (
        &[("a.yaml", "a: {b: 1}"), ("b.json", r#"{"a": {"b": 1}}"#)],
        &["check", "rego", "--data", "a.yaml", "--data", "b.json"],
        "gatelet: b.json: `a.b` is in other data too\nhelp: say it once\n",
    ),
    (
        &[("settings.yaml", "limits:\n  instrutions: 5\n")],
        &["check", "rego", "--settings", "settings.yaml"],
        "gatelet: unknown field `instrutions`, expected one of instructions, time_ms, policy_bytes, \
         policy_columns, policy_lines\n --> settings.yaml:2:3\n  |\n2 |   instrutions: 5\n  |   ^\n",
    ),
    (
        &[("settings.yaml", "policy: {data: {}, entrypoint: data.a}\n")],
        &["check", "rego", "--settings", "settings.yaml"],
        "gatelet: settings.yaml has a `policy`; that comes from the folder\n",
    ),
    (
        &[],
        &["check", "rego", "--dry-run-until", "2026-12-31T00:00:00Z"],
        "gatelet: `data.kubelet.peers` is missing\n\
         help: list who may call; rego/examples shows how to\n",
    ),
    (
        &[("data.yaml", "kubelet: {peers: [{common_name: a, organisation: b}]}")],
        &["check", "rego", "--data", "data.yaml", "--adapter", "kubelet-tls-proxy"],
        "gatelet: `data.kubelet.peers[0]`: unknown field `organisation`, expected one of \
         `common_name`, `organization`, `certificate_sha256`\n",
    ),
    (
        &[(
            "p.json",
            r#"{"resources": [{"typed_config": {"config": {"configuration": {"value": {"policy": {}}}}}}]}"#,
        )],
        &["check", "p.json"],
        "gatelet: p.json has no configuration as text\n\
         help: `gatelet render` makes such a file; its configuration is a google.protobuf.StringValue, \
         as the filter can't read a Struct\n",
    ),
    (
        &[],
        &["render", "rego", "-o", "policy/gatelet.json"],
        "gatelet: cannot write policy/gatelet.json: there is no folder policy\n",
    ),
    (&[], &["check", "rego", "--corpus", "rego"], "gatelet: rego has no requests\n"),
];

#[test]
fn each_mistake_has_its_message() {
    for (files, arguments, want) in CASES {
        let folder = folder(&[&[METRICS], *files].concat());
        let Run { code, out, err } = gatelet(folder.path(), arguments);
        assert_eq!((code, out.as_str(), err.as_str()), (1, "", *want), "{arguments:?}");
    }
}

#[test]
fn what_is_too_deep_or_too_large_is_refused_by_name() {
    let policy = |rest: &str| ("rego/big.rego", format!("package big\n\n{rest}\n"));
    let nested = |open: &str, close: &str| open.repeat(10_000) + "1" + &close.repeat(10_000);
    for ((name, text), want) in [
        (
            policy(&format!("x := {}", nested("[", "]"))),
            "brackets are nested more than 16 deep\n --> big.rego:3:",
        ),
        (
            policy(&format!("x := 1{}", " + 1".repeat(10_000))),
            "an expression has more than 128 operators\n --> big.rego:3:",
        ),
        (policy(&"# a\n".repeat(300_000)), "big.rego exceeds maximum allowed policy file size"),
        (policy(&"# a\n".repeat(30_000)), "big.rego exceeds maximum allowed line count 20000"),
        (
            policy(&format!("x := \"{}\"", "a".repeat(20_000))),
            "line exceeds maximum column width of 16384\n --> big.rego:3:",
        ),
        (
            ("rego/data.json", nested("{\"a\": ", "}")),
            "recursion limit exceeded\n --> rego/data.json:1:",
        ),
        (
            ("rego/data.yaml", nested("{a: ", "}")),
            "recursion limit exceeded\n --> rego/data.yaml:1:",
        ),
    ] {
        let folder = folder(&[METRICS, (name, &text)]);
        let Run { code, out, err } = gatelet(folder.path(), &["check", "rego"]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.starts_with(&format!("gatelet: {want}")), "wanted {want}, not {err:.200}");
    }
}

#[test]
fn a_command_line_that_is_wrong_is_another_exit_code() {
    let folder = folder(&[METRICS]);
    done(folder.path(), &["check", "rego"]);
    for arguments in [
        &["check"][..],
        &["render", "rego"],
        &["check", "rego", "--profile", "grpc"],
        &["check", "rego", "--adapter", "opa"],
        &["chekc", "rego"],
        &[],
    ] {
        let run = gatelet(folder.path(), arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
    }
}

#[test]
fn what_cannot_be_read_is_no_answer() {
    let folder = folder(&[METRICS]);
    let run = gatelet(folder.path(), &["check", "rego", "--data", "data.yaml"]);
    let want = "gatelet: cannot read data.yaml: No such file or directory (os error 2)\n";
    assert_eq!((run.code, run.err.as_str()), (3, want));
}

#[test]
fn the_command_and_the_log_of_the_filter_name_the_same_place() {
    for line in [
        "\tdecision if starts_with(1)",
        "decision if \"äöü😀\" == starts_with(1)",
        "x := {\n\t\t\"ü\": \"ö\", = }",
    ] {
        let rego = format!("{HEAD}\n{line}\n");
        let folder = folder(&[("rego/a.rego", &rego)]);
        let err = gatelet(folder.path(), &["check", "rego"]).err;
        let source = Source {
            modules: [("a.rego".to_owned(), rego)].into(),
            entrypoint: "data.kubelet.authz.decision".to_owned(),
            ..Source::default()
        };
        let refused = Policy::compile(&source, Builtins::Standard, &Limits::default());
        let logged = refused.unwrap_err().to_string();
        let place = |text: &str| text.lines().nth(1).unwrap().to_owned();
        assert_eq!(place(&err), place(&logged), "{line}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let folder = folder(&[METRICS]);
    let colourful = |variables: &[(&str, &str)]| {
        let run = gatelet_with(folder.path(), &["check", "nowhere"], variables);
        assert!(run.err.contains("there is no folder nowhere"), "{}", run.err);
        run.err.contains('\u{1b}')
    };
    for (variables, want) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        assert_eq!(colourful(variables), want, "{variables:?}");
    }
}

#[test]
fn the_version_is_that_of_the_command() {
    let version = concat!("gatelet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(done(&project(), &["--version"]).out, version);
}

#[test]
fn the_help_has_the_exit_codes() {
    let help = done(&project(), &["--help"]).out;
    let codes: Vec<_> = help.split_once("Exit codes:\n").unwrap().1.lines().collect();
    for (code, line) in codes.iter().enumerate() {
        assert!(line.starts_with(&format!("  {code}  ")), "{line}");
    }
    assert_eq!(codes.len(), 4);
}

#[test]
fn help_fits_a_screen() {
    let help = |subcommand: &[&str]| done(&project(), &[subcommand, &["--help"]].concat()).out;
    let commands = help(&[]);
    let listed = commands.split_once("Commands:\n").unwrap().1.split("\n\n").next().unwrap();
    let name = |line: &'_ str| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned);
    let names: Vec<_> = listed.lines().filter_map(name).filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 8 && names.contains(&"test".to_owned()), "{names:?}");
    for name in names {
        let help = help(&[&name]);
        assert!(help.lines().count() <= 66, "{name}: {}", help.lines().count());
    }
}
