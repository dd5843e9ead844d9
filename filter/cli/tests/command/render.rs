//! `gatelet render`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use gatelet_core::{Reason, config::Profile};
use serde_json::json;

use crate::support::{APISERVER, METRICS, ask, configuration, done, folder, gate, gatelet, write};

#[test]
fn the_file_has_the_policy_and_decides_by_it() {
    let folder = folder(&[METRICS]);
    let run = done(folder.path(), &["render", "rego", "-o", "policy.json"]);
    let file = folder.path().join("policy.json");
    let gate = gate(&file);
    assert_eq!(run.out, format!("{}  policy.json\n", gate.digest()));
    assert_eq!(run.err, "");
    assert_eq!(ask(&gate, APISERVER, "GET /metrics", &[]), Reason::Allowed);
    assert_eq!(ask(&gate, APISERVER, "GET /pods", &[]), Reason::Denied);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_dash_is_the_standard_output() {
    let folder = folder(&[METRICS]);
    let run = done(folder.path(), &["render", "rego", "-o", "-"]);
    let file = done(folder.path(), &["render", "rego", "-o", "p.json"]);
    assert_eq!(run.out, fs::read_to_string(folder.path().join("p.json")).unwrap());
    assert_eq!(file.out, format!("{}  p.json\n", run.err.trim_end()));
    assert!(!folder.path().join("-").exists());
}

#[test]
fn what_locks_everybody_out_or_nobody_is_worth_a_warning() {
    let peers = "kubelet: {peers: [{common_name: a, organization: o, presets: [logs]}]}";
    let empty = ("empty/authz.rego", "package kubelet.authz\n\ndefault decision := false\n");
    let folder = folder(&[METRICS, empty, ("data.yaml", peers), ("nobody.yaml", "peers: []")]);
    for (options, want) in [
        (&["rego"][..], ""),
        (&["rego", "--data", "data.yaml", "--dry-run-until", "2999-12-31T00:00:00Z"], ""),
        (
            &["rego", "--data", "data.yaml", "--dry-run-until", "2026-01-31T00:00:00+01:00"],
            "warning: `dry_run_until` was 2026-01-30T23:00:00Z: the filter enforces the policy\n",
        ),
        (
            &["rego", "--settings", "nobody.yaml"],
            "warning: `peers` is empty, so the filter denies everybody\n",
        ),
        (
            &["empty"],
            "warning: `data.kubelet.authz.decision` has a default and no rule, so all requests get the same\n",
        ),
    ] {
        let run = done(folder.path(), &[&["render", "-o", "p.json"], options].concat());
        assert_eq!(run.err, want, "{options:?}");
    }
}

#[test]
fn envoy_finds_the_filter_and_the_module_in_it() {
    let folder = folder(&[METRICS]);
    for (options, module) in [
        (&[][..], "gatelet.wasm"),
        (&["--full"], "gatelet-full.wasm"),
        (&["--full", "--module", "/opt/filter.wasm"], "/opt/filter.wasm"),
    ] {
        done(folder.path(), &[&["render", "rego", "-o", "p.json"], options].concat());
        let text = fs::read_to_string(folder.path().join("p.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let resource = &file["resources"][0];
        assert_eq!(resource["name"], "gatelet");
        let config = &resource["typed_config"]["config"];
        assert_eq!(config["vm_config"]["code"]["local"]["filename"], module, "{options:?}");
        assert_eq!(config["failure_policy"], "FAIL_RELOAD");
    }
}

#[test]
fn equal_policies_are_equal_files() {
    let folder =
        folder(&[METRICS, ("data.yaml", "{b: 2, a: 1}"), ("data.json", r#"{"a": 1, "b": 2}"#)]);
    done(folder.path(), &["render", "rego", "--data", "data.yaml", "-o", "1.json"]);
    done(folder.path(), &["render", "./rego/", "--data", "data.json", "-o", "2.json"]);
    let text = |name| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("1.json"), text("2.json"));
    write(folder.path(), "data.yaml", "{b: 2, a: 0}");
    done(folder.path(), &["render", "rego", "--data", "data.yaml", "-o", "1.json"]);
    assert_ne!(text("1.json"), text("2.json"));
}

#[test]
fn a_policy_that_is_wrong_changes_nothing() {
    let folder = folder(&[METRICS]);
    let arguments = ["render", "rego", "-o", "policy/gatelet.json"];
    fs::create_dir(folder.path().join("policy")).unwrap();
    done(folder.path(), &arguments);
    let before = fs::read(folder.path().join("policy/gatelet.json")).unwrap();
    write(folder.path(), METRICS.0, "package kubelet.authz\n\nallow if");
    assert_eq!(gatelet(folder.path(), &arguments).code, 1);
    assert_eq!(fs::read(folder.path().join("policy/gatelet.json")).unwrap(), before);
    let files = fs::read_dir(folder.path().join("policy")).unwrap().count();
    assert_eq!(files, 1, "nothing half-written is left behind");
}

#[test]
fn tests_are_left_out() {
    let folder = folder(&[METRICS, ("rego/kubelet/authz/authz_test.rego", "package x_test\n")]);
    done(folder.path(), &["render", "rego", "-o", "p.json"]);
    let modules = configuration(&folder.path().join("p.json"))["policy"]["modules"].clone();
    assert_eq!(modules, json!({"kubelet/authz/authz.rego": METRICS.1}));
}

#[test]
fn data_is_placed_by_its_folder_and_joined() {
    let folder = folder(&[
        METRICS,
        ("rego/data.yaml", "a: {b: 1}"),
        ("rego/a/data.json", r#"{"c": 2}"#),
        ("rego/a/d/data.yml", "f: 4"),
        ("rego/a/other.json", r#"{"not": "data"}"#),
        ("more.yaml", "a: {d: {e: 3}}\nname: no"),
        ("empty.yaml", "# nothing\n"),
    ]);
    let data = ["--data", "more.yaml", "--data", "empty.yaml"];
    done(folder.path(), &[&["render", "rego", "-o", "p.json"], &data[..]].concat());
    assert_eq!(
        configuration(&folder.path().join("p.json"))["policy"]["data"],
        json!({"a": {"b": 1, "c": 2, "d": {"e": 3, "f": 4}}, "name": "no"})
    );
}

#[test]
fn a_mounted_config_map_is_read_once_and_a_loop_not_at_all() {
    let folder = folder(&[("rego/..2026_11_20/authz.rego", METRICS.1)]);
    let rego = folder.path().join("rego");
    symlink("..2026_11_20", rego.join("..data")).unwrap();
    symlink("..data/authz.rego", rego.join("authz.rego")).unwrap();
    symlink(".", rego.join("loop")).unwrap();
    done(folder.path(), &["render", "rego", "-o", "p.json"]);
    let modules = configuration(&folder.path().join("p.json"))["policy"]["modules"].clone();
    assert_eq!(modules, json!({"authz.rego": METRICS.1}));
}

#[test]
fn options_and_settings_reach_the_filter() {
    let folder = folder(&[
        METRICS,
        (
            "settings.yaml",
            "profile: http\nhttp: {headers: [x-tenant]}\nlimits: {instructions: 500}\nlog: {mask: [/query]}\n",
        ),
    ]);
    let settings = ["--settings", "settings.yaml", "--entrypoint", "data.kubelet.authz.decision"];
    let options = ["--node", "worker-1", "--source-address"];
    let render = ["render", "rego", "-o", "p.json"];
    done(folder.path(), &[&render[..], &settings, &options].concat());
    let config = gate(&folder.path().join("p.json")).config().clone();
    assert_eq!(config.profile, Profile::Http);
    assert_eq!(config.http.headers, ["x-tenant"]);
    assert_eq!(config.limits.instructions.get(), 500);
    assert_eq!(config.log.mask, ["/query"]);
    assert_eq!(config.node.name.as_deref(), Some("worker-1"));
    assert!(config.vouches_for_source_address());
}

#[test]
fn a_dry_run_is_for_the_pinned_peers() {
    let folder = folder(&[
        METRICS,
        (
            "peers.yaml",
            "kubelet: {peers: [{common_name: kube-apiserver-kubelet-client, \
             organization: kubeadm:cluster-admins, presets: [logs]}]}",
        ),
    ]);
    let options = ["--data", "peers.yaml", "--dry-run-until", "2026-12-31T00:00:00Z"];
    done(folder.path(), &[&["render", "rego", "-o", "p.json"], &options[..]].concat());
    let gate = gate(&folder.path().join("p.json"));
    assert_eq!(ask(&gate, APISERVER, "GET /pods", &[]), Reason::WouldDeny);
    assert_eq!(
        ask(&gate, "CN=system:node:worker-2,O=system:nodes", "GET /pods", &[]),
        Reason::Denied
    );
}

#[test]
fn a_dry_run_that_lets_in_who_was_shut_out_is_refused() {
    let folder = folder(&[METRICS]);
    let peer =
        |presets| format!("{{peers: [{{common_name: a, organization: o, presets: {presets}}}]");
    for (kubelet, want) in [
        (
            peer("[logs]") + ", denied_certificates: [ab]}",
            "gatelet: `data.kubelet.denied_certificates`: `ab` is not a SHA-256 in 64 hexadecimal digits\n",
        ),
        (
            peer("[closed]") + "}",
            "gatelet: a dry run would let in `data.kubelet.peers[0]`, which has no preset or `closed`\n\
             help: remove the entry as long as the dry run lasts\n",
        ),
        (
            peer("[]") + "}",
            "gatelet: a dry run would let in `data.kubelet.peers[0]`, which has no preset or `closed`\n\
             help: remove the entry as long as the dry run lasts\n",
        ),
    ] {
        write(folder.path(), "data.yaml", &format!("kubelet: {kubelet}"));
        write(folder.path(), "dry.yaml", "{mode: dry_run, dry_run_until: '2026-12-31T00:00:00Z'}");
        for way in [["--dry-run-until", "2026-12-31T00:00:00Z"], ["--settings", "dry.yaml"]] {
            let arguments = ["render", "rego", "-o", "p.json", "--data", "data.yaml"];
            let run = gatelet(folder.path(), &[&arguments[..], &way].concat());
            assert_eq!((run.code, run.err.as_str()), (1, want), "{kubelet} {way:?}");
        }
    }
}

#[test]
fn a_policy_of_kubelet_tls_proxy_denies_what_it_denied() {
    let folder = folder(&[
        (
            "rego/policy.rego",
            "package kubelet.policy\n\nimport rego.v1\n\n\
             deny if {\n\tinput.method == \"POST\"\n\tstartswith(input.path, \"/exec\")\n}\n",
        ),
        (
            "peers.yaml",
            "kubelet: {peers: [{common_name: kube-apiserver-kubelet-client, \
             organization: kubeadm:cluster-admins, presets: []}]}",
        ),
    ]);
    let options = ["--adapter", "kubelet-tls-proxy", "--data", "peers.yaml"];
    done(folder.path(), &[&["render", "rego", "-o", "p.json"], &options[..]].concat());
    let gate = gate(&folder.path().join("p.json"));
    let spdy = [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
    ];
    let exec = "POST /exec/default/web-0/app?command=id&output=1";
    assert_eq!(ask(&gate, APISERVER, exec, &spdy), Reason::Denied);
    assert_eq!(ask(&gate, APISERVER, "GET /metrics", &[]), Reason::Allowed);
    assert_eq!(ask(&gate, "CN=someone", "GET /metrics", &[]), Reason::Denied);

    let check = [&["check", "rego"], &options[..]].concat();
    assert_eq!(done(folder.path(), &check).err, "");
    write(folder.path(), "peers.yaml", "kubelet: {peers: []}");
    let warning = "warning: `peers` is empty, so the filter denies everybody\n";
    assert_eq!(done(folder.path(), &check).err, warning);
}
