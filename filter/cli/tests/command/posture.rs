//! `gatelet posture`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Run, done, folder, gatelet, project, write};

/// A kubelet's configuration file with these fields.
fn configuration(fields: &str) -> String {
    format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{fields}")
}

/// What kubeadm writes, shortened.
const KUBEADM: &str = "authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true, cacheTTL: 0s}
  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
authorization: {mode: Webhook}
rotateCertificates: true
streamingConnectionIdleTimeout: 0s
";

/// kubeadm's drop-in for the unit, shortened.
const UNIT: &str = r#"[Service]
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS \
  $KUBELET_KUBEADM_ARGS
"#;

/// Runs the command with `--format json`.
fn judged(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let run = gatelet(folder, &[&["posture", "--format", "json"], arguments].concat());
    (run.code, serde_json::from_str(&run.out).unwrap())
}

/// A requirement's status, and of the first setting that it looks at the value and where it is from.
fn check(report: &Value, id: &str) -> (String, Value, String) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == id).unwrap();
    let found = check.pointer("/found/0").unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&check["status"]), found["value"].clone(), text(&found["from"]))
}

/// Whether this and kube-bench agree on a file that says so much. Its rules are in `cfg/cis-1.12/node.yaml`
/// of aquasecurity/kube-bench; where it doesn't ask what the kubelet makes of the file, this does.
#[test]
fn a_file_is_judged_as_kube_bench_does_but_for_what_the_kubelet_makes_of_it() {
    const STRONG: &str = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, \
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, \
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let all_suites = format!("tlsCipherSuites: [{STRONG}]");
    let one_more = format!("tlsCipherSuites: [{STRONG}, TLS_RSA_WITH_AES_128_GCM_SHA256]");
    let folder = folder(&[]);
    for (fields, id, kube_bench, want) in [
        ("authentication: {anonymous: {enabled: false}}", "4.2.1", true, "PASS"),
        ("authentication: {anonymous: {enabled: true}}", "4.2.1", false, "FAIL"),
        // The default of a file is false.
        ("", "4.2.1", false, "PASS"),
        ("authorization: {mode: Webhook}", "4.2.2", true, "PASS"),
        ("authorization: {mode: AlwaysAllow}", "4.2.2", false, "FAIL"),
        // The default of a file is Webhook.
        ("", "4.2.2", false, "PASS"),
        ("authentication: {x509: {clientCAFile: /ca.crt}}", "4.2.3", true, "PASS"),
        ("", "4.2.3", false, "FAIL"),
        ("readOnlyPort: 0", "4.2.4", true, "PASS"),
        ("readOnlyPort: 10255", "4.2.4", false, "WARN"),
        ("", "4.2.4", true, "PASS"),
        ("streamingConnectionIdleTimeout: 5m", "4.2.5", true, "PASS"),
        // In a file, zero is no value: it is four hours.
        ("streamingConnectionIdleTimeout: '0'", "4.2.5", false, "PASS"),
        ("", "4.2.5", true, "PASS"),
        ("makeIPTablesUtilChains: true", "4.2.6", true, "PASS"),
        ("makeIPTablesUtilChains: false", "4.2.6", false, "FAIL"),
        ("", "4.2.6", true, "PASS"),
        // It is a flag, and none were given.
        ("", "4.2.7", true, "MANUAL"),
        ("eventRecordQPS: 0", "4.2.8", true, "PASS"),
        ("eventRecordQPS: 5", "4.2.8", true, "PASS"),
        ("eventRecordQPS: -1", "4.2.8", false, "WARN"),
        ("", "4.2.8", true, "PASS"),
        ("tlsCertFile: a.crt\ntlsPrivateKeyFile: a.key", "4.2.9", true, "PASS"),
        ("tlsCertFile: a.crt", "4.2.9", false, "WARN"),
        ("", "4.2.9", false, "WARN"),
        ("rotateCertificates: true", "4.2.10", true, "PASS"),
        ("rotateCertificates: false", "4.2.10", false, "FAIL"),
        // The default is false.
        ("", "4.2.10", true, "FAIL"),
        ("featureGates: {RotateKubeletServerCertificate: true}", "4.2.11", true, "PASS"),
        ("featureGates: {RotateKubeletServerCertificate: false}", "4.2.11", false, "WARN"),
        ("", "4.2.11", true, "PASS"),
        (all_suites.as_str(), "4.2.12", true, "PASS"),
        ("tlsCipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", "4.2.12", true, "PASS"),
        (one_more.as_str(), "4.2.12", false, "WARN"),
        ("", "4.2.12", false, "WARN"),
        ("podPidsLimit: 4096", "4.2.13", true, "PASS"),
        // It is there, and no limit.
        ("podPidsLimit: -1", "4.2.13", true, "WARN"),
        ("", "4.2.13", false, "WARN"),
        ("seccompDefault: true", "4.2.14", true, "PASS"),
        // It is there, and not true.
        ("seccompDefault: false", "4.2.14", true, "WARN"),
        ("", "4.2.14", false, "WARN"),
    ] {
        write(folder.path(), "config.yaml", &configuration(fields));
        let (_, report) = judged(folder.path(), &["config.yaml"]);
        let (status, ..) = check(&report, id);
        assert_eq!(status, want, "{id} {fields:?}, {kube_bench} to kube-bench");
    }
}

#[test]
fn without_a_file_the_defaults_are_others() {
    let folder = folder(&[("flags.env", "KUBELET_ARGS=\"--v=2\"\n")]);
    let (code, report) = judged(folder.path(), &["--flags", "flags.env"]);
    for (id, want, value) in [
        ("4.2.1", "FAIL", json!(true)),
        ("4.2.2", "FAIL", json!("AlwaysAllow")),
        ("4.2.4", "WARN", json!(10255)),
        ("4.2.6", "PASS", json!(true)),
    ] {
        assert_eq!(check(&report, id), (want.to_owned(), value, "default".to_owned()), "{id}");
    }
    assert_eq!(code, 1);
    // As they are where there are only drop-ins; `null` takes one back.
    write(
        folder.path(),
        "d/1.conf",
        &configuration("authentication: {anonymous: {enabled: null}}"),
    );
    let (_, report) = judged(folder.path(), &["--config-dir", "d"]);
    assert_eq!(check(&report, "4.2.1").1, json!(false));
    assert_eq!(check(&report, "4.2.2").1, json!("AlwaysAllow"));
}

#[test]
fn drop_ins_are_merged_in_order_and_flags_win() {
    let folder = folder(&[
        ("config.yaml", &configuration(KUBEADM)),
        (
            "d/20.conf",
            &configuration("authentication: {anonymous: {enabled: true}}\npodPidsLimit: 9\n"),
        ),
        (
            "d/10.conf",
            &configuration("authentication: {anonymous: {enabled: null}}\npodPidsLimit: 5\n"),
        ),
        ("d/30.yaml", &configuration("authentication: {anonymous: {enabled: false}}")),
        ("unit.conf", UNIT),
        (
            "kubeadm-flags.env",
            "KUBELET_KUBEADM_ARGS=\"--pod_max_pids 7 --rotate-certificates=F --anonymous-auth=0 \
             --streaming-connection-idle-timeout=0 --hostname-override=worker-1 --node-ip=192.0.2.1\"\n",
        ),
    ]);
    let files = ["config.yaml", "--config-dir", "d"];
    let (code, report) = judged(folder.path(), &files);
    assert_eq!(check(&report, "4.2.1"), ("FAIL".into(), json!(true), "d/20.conf".into()));
    assert_eq!(check(&report, "4.2.13"), ("PASS".into(), json!(9), "d/20.conf".into()));
    assert_eq!(check(&report, "4.2.2"), ("PASS".into(), json!("Webhook"), "config.yaml".into()));
    assert_eq!(code, 1);

    let flags = ["--flags", "unit.conf", "--flags", "kubeadm-flags.env"];
    let arguments = [&files[..], &flags].concat();
    let (code, report) = judged(folder.path(), &arguments);
    for (id, status, value, flag) in [
        ("4.2.1", "PASS", json!(false), "--anonymous-auth"),
        ("4.2.5", "WARN", json!("0"), "--streaming-connection-idle-timeout"),
        ("4.2.7", "WARN", json!("worker-1"), "--hostname-override"),
        ("4.2.10", "FAIL", json!(false), "--rotate-certificates"),
        ("4.2.13", "PASS", json!(7), "--pod-max-pids"),
    ] {
        let from = format!("{flag} in kubeadm-flags.env");
        assert_eq!(check(&report, id), (status.to_owned(), value, from), "{id}");
    }
    assert_eq!(check(&report, "4.2.15").0, "WARN");
    assert_eq!(code, 1);
    let err = gatelet(folder.path(), &[&["posture"], &arguments[..]].concat()).err;
    assert_eq!(err, "warning: no requirement looks at --node-ip\n");
}

#[test]
fn an_account_of_all_flags_does_not_tell_which_were_given() {
    let flagz = "\nkubelet flagz\nWarning: This endpoint is not meant to be machine parseable, …\n\n\
                 anonymous-auth: true\nconfig: /var/lib/kubelet/config.yaml\nhostname-override: \n\
                 read-only-port: 10256\ntls-cipher-suites: []\n";
    let folder = folder(&[("config.yaml", &configuration(KUBEADM))]);
    for delimiter in [":", ": ", "=", " "] {
        write(folder.path(), "flagz", &flagz.replace(": ", delimiter));
        let (code, report) = judged(folder.path(), &["config.yaml", "--flags", "flagz"]);
        let status = |id| check(&report, id).0;
        // It is the default of the flag, and the file says otherwise: either may be in force.
        assert_eq!(status("4.2.1"), "UNKNOWN", "{delimiter:?}");
        assert_eq!(check(&report, "4.2.4").1, json!(10256), "{delimiter:?}");
        assert_eq!(status("4.2.7"), "PASS", "{delimiter:?}");
        assert_eq!(
            check(&report, "4.2.12"),
            ("WARN".into(), json!([]), "default".into()),
            "{delimiter:?}"
        );
        assert_eq!(code, 3, "{delimiter:?}");
    }
}

#[test]
fn what_cannot_be_read_has_a_code_of_its_own() {
    let sound = configuration(KUBEADM);
    let files: [(&str, &str); 7] = [
        ("sound.yaml", &sound),
        ("text.yaml", &configuration("authentication: {anonymous: {enabled: 'false'}}")),
        ("twice.yaml", &format!("{sound}rotateCertificates: true\n")),
        ("other.yaml", "apiVersion: v1\nkind: ConfigMap\n"),
        ("configz.json", "Forbidden"),
        ("unit.conf", UNIT),
        ("noise.env", "kubelet --anonymous-auth\n"),
    ];
    let folder = folder(&files);
    let run = |arguments: &[&str]| gatelet(folder.path(), &[&["posture"], arguments].concat());
    assert_eq!(run(&["sound.yaml"]).code, 0);
    assert_eq!(run(&[]).code, 2);
    for (arguments, says) in [
        (&["missing.yaml"][..], "cannot read missing.yaml"),
        (&["twice.yaml"], "--> twice.yaml:10:1"),
        (&["other.yaml"], "other.yaml is no KubeletConfiguration"),
        (&["sound.yaml", "--config-dir", "missing"], "there is no folder missing"),
        (&["--configz", "configz.json"], "configz.json is no answer to /configz"),
        (&["sound.yaml", "--flags", "unit.conf"], "has `$KUBELET_KUBEADM_ARGS`, which is in none"),
        (&["sound.yaml", "--flags", "noise.env"], "neither a unit, nor variables"),
    ] {
        let Run { code, out, err } = run(arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?} {err}");
        assert!(err.contains(says), "{arguments:?} {err}");
    }
    write(folder.path(), "kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\n");
    let flags = ["--flags", "unit.conf", "--flags", "kubeadm-flags.env"];
    let Run { code, err, .. } = run(&flags);
    assert_eq!(code, 3);
    assert!(
        err.contains("has `--config=/var/lib/kubelet/config.yaml`, which is not given"),
        "{err}"
    );
    let (code, report) = judged(folder.path(), &["text.yaml"]);
    assert_eq!(check(&report, "4.2.1").0, "UNKNOWN");
    // 4.2.3 fails for sure, and that is the worse news.
    assert_eq!(code, 1);
}

#[test]
fn the_gates_profiles_are_met_by_their_files() {
    let folder = folder(&[("config.yaml", &configuration(KUBEADM))]);
    for profile in ["owned", "hardened"] {
        let file = project().join(format!("envoy/kubelet/kubelet-{profile}.yaml"));
        let drop_in = format!("{profile}/20-gatelet.conf");
        write(folder.path(), &drop_in, &fs::read_to_string(file).unwrap());
        let arguments = ["config.yaml", "--config-dir", profile, "--profile", profile];
        let (code, report) = judged(folder.path(), &arguments);
        assert_eq!((code, &report["status"]), (0, &json!("pass")), "{profile} {report:#}");
        // As kubeadm leaves it, everybody gets to the kubelet.
        let (code, report) = judged(folder.path(), &["config.yaml", "--profile", profile]);
        assert_eq!((code, check(&report, "gate.address").0.as_str()), (1, "FAIL"), "{profile}");
    }
}

#[test]
fn the_filter_has_the_requirements_in_it() {
    let folder = folder(&[]);
    let (rego, file) = (project().join("rego"), folder.path().join("p.json"));
    done(folder.path(), &["render", rego.to_str().unwrap(), "-o", "p.json"]);
    let configuration = crate::support::configuration(&file);
    let modules = configuration["policy"]["modules"].as_object().unwrap();
    assert!(modules.contains_key("kubelet/authz/authz.rego"));
    assert!(!modules.keys().any(|name| name.starts_with("posture/")), "{:?}", modules.keys());
}

#[test]
fn a_policy_that_reads_the_verdict_is_tested_and_rendered_with_a_watch() {
    let folder = folder(&[
        (
            "rego/authz.rego",
            "package kubelet.authz\n\ndefault decision := false\n\n\
             decision if {\n\tinput.endpoint == \"metrics\"\n\tdata.posture.status == \"pass\"\n}\n",
        ),
        (
            "rego/authz_test.rego",
            "package kubelet.authz_test\n\nimport data.kubelet.authz\n\n\
             _metrics := {\"endpoint\": \"metrics\"}\n\n\
             test_a_sound_kubelet_is_open if {\n\tauthz.decision with input as _metrics with data.posture as {\"status\": \"pass\"}\n}\n\n\
             test_any_other_is_closed if {\n\tevery status in [\"fail\", \"unknown\"] {\n\t\t\
             not authz.decision with input as _metrics with data.posture as {\"status\": status}\n\t}\n}\n",
        ),
    ]);
    let run = done(folder.path(), &["test", "rego"]);
    assert_eq!(run.out, "PASS: 2/2\n2/2 put to the register VM, too\n");
    let checked = done(folder.path(), &["check", "rego", "--posture", "owned"]);
    let rendered = done(folder.path(), &["render", "rego", "--posture", "owned", "-o", "p.json"]);
    assert_eq!(checked.out, rendered.out.replace("p.json", "rego"));
    assert_eq!(done(folder.path(), &["check", "p.json"]).out, rendered.out);
    assert_eq!(
        crate::support::configuration(&folder.path().join("p.json"))["posture"],
        json!({"profile": "owned", "cluster": "kubelet", "interval_s": 60})
    );
    let Run { code, err, .. } = gatelet(folder.path(), &["check", "rego"]);
    assert_eq!(code, 1);
    assert!(err.contains("the policy reads `data.posture`"), "{err}");
    assert!(err.contains("gatelet render --posture owned"), "{err}");
}

#[test]
fn the_table_says_what_to_do() {
    let folder =
        folder(&[("config.yaml", &configuration("authentication: {anonymous: {enabled: true}}"))]);
    let Run { code, out, err } = gatelet(folder.path(), &["posture", "config.yaml"]);
    let line = |start: &str| {
        let found = out.lines().find(|line| line.trim_start().starts_with(start));
        found
            .unwrap_or_else(|| panic!("{start}: {out}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("FAIL"),
        "FAIL 4.2.1 anonymous requests are refused authentication.anonymous.enabled true config.yaml"
    );
    assert_eq!(
        line("4.2.1:"),
        "4.2.1: wanted is false; set `authentication.anonymous.enabled: false`"
    );
    assert_eq!(out.lines().last(), Some("6 pass, 3 fail, 4 warn, 1 manual, 0 unknown"));
    assert_eq!((code, err.as_str()), (1, ""));
}

/// <https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support>
#[test]
fn the_log_for_code_scanning_has_what_github_demands() {
    let folder = folder(&[("node/config.yaml", &configuration("readOnlyPort: 10255"))]);
    let run = gatelet(folder.path(), &["posture", "node/config.yaml", "--format", "sarif"]);
    let log: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&log["version"], run.code), (&json!("2.1.0"), 1));
    assert!(log["$schema"].is_string());
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "gatelet");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for rule in rules {
        for field in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[field]["text"].is_string(), "{rule}");
        }
    }
    let results = run["results"].as_array().unwrap();
    for result in results {
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "{result}");
        assert!(result["message"]["text"].is_string(), "{result}");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "node/config.yaml");
        assert_eq!(place["region"]["startLine"], 1);
        assert!(result["partialFingerprints"].is_object(), "{result}");
    }
    let levels: Vec<_> = results.iter().map(|it| (&it["ruleId"], &it["level"])).collect();
    assert!(levels.contains(&(&json!("4.2.3"), &json!("error"))), "{levels:?}");
    assert!(levels.contains(&(&json!("4.2.4"), &json!("warning"))), "{levels:?}");
    // What passes, and what only a person can see, are no alerts.
    assert!(!levels.iter().any(|(id, _)| *id == "4.2.1" || *id == "4.2.7"), "{levels:?}");
}

#[test]
fn an_answer_to_configz_is_the_configuration_in_force() {
    let answer = json!({"kubeletconfig": {
        "address": "0.0.0.0", "port": 10250,
        "authentication": {"x509": {"clientCAFile": "/ca.crt"}, "webhook": {"enabled": true}, "anonymous": {"enabled": false}},
        "authorization": {"mode": "Webhook"},
        "streamingConnectionIdleTimeout": "4h0m0s", "makeIPTablesUtilChains": true, "eventRecordQPS": 50,
        "podPidsLimit": -1, "seccompDefault": false, "rotateCertificates": true,
    }});
    let folder = folder(&[
        ("configz", &answer.to_string()),
        // Already in force, or not: the answer knows.
        ("flags.env", "KUBELET_ARGS=\"--anonymous-auth=true --hostname-override=worker-1\""),
    ]);
    let (code, report) = judged(folder.path(), &["--configz", "configz", "--flags", "flags.env"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(check(&report, "4.2.1"), ("PASS".into(), json!(false), "/configz".into()));
    assert_eq!(check(&report, "4.2.7").0, "WARN");
    let run = done(folder.path(), &["posture", "--configz", "configz"]);
    assert!(run.out.ends_with(" 1 manual, 0 unknown\n"), "{}", run.out);
}
