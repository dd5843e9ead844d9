//! What a configuration may say, and what a person is told of one that can't be used.

use serde_json::json;

use super::*;

fn read(json: Value) -> Result<Config, ConfigError> {
    Config::from_json(json.to_string().as_bytes())
}

fn message(json: Value) -> String {
    read(json).map(|config| format!("{config:?}")).unwrap_err().to_string()
}

#[test]
fn what_is_absent_has_its_usual_value() {
    let config = read(json!({"policy": {"modules": {"a.rego": "package a"}}})).unwrap();
    assert_eq!(config.profile, Profile::Kubelet);
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(config.peers, None);
    assert_eq!(config.limits, Limits::default());
    assert!(!config.vouches_for_source_address());
    assert_eq!(config.token_cluster, None);
    assert!(!config.denial.show_rule);
    assert_eq!(config.log.mask, ["/exec/env", "/query/env"]);
    let PolicyConfig::Rego(source) = config.policy else { panic!("no adapter was named") };
    assert_eq!(source.entrypoint, "data.kubelet.authz.decision");
}

#[test]
fn all_that_can_be_said_is_read() {
    let config = read(json!({
        "profile": "http",
        "policy": {"modules": {}, "data": {"x": 1}, "entrypoint": "data.a.b"},
        "mode": "dry_run",
        "dry_run_until": "2026-12-31T01:00:00+01:00",
        "peers": [],
        "limits": {"instructions": 1, "time_ms": 2, "policy_bytes": 3, "policy_columns": 4, "policy_lines": 5},
        "node": {"name": "worker-1"},
        "source_address": "connection",
        "http": {"headers": ["x-tenant"]},
        "denial": {"show_rule": true},
        "log": {"mask": [], "labels": {"cluster": "a"}},
    }))
    .unwrap();
    let until = "2026-12-31T00:00:00Z".parse().unwrap();
    assert_eq!(config.mode, Mode::DryRun { until });
    assert_eq!(config.limits.time, Duration::from_millis(2));
    assert_eq!(config.node.name.as_deref(), Some("worker-1"));
    assert_eq!(config.http.headers, ["x-tenant"]);
    assert!(config.log.mask.is_empty());
}

#[test]
fn what_is_written_is_read_again() {
    let written = Written {
        policy: WrittenPolicy {
            modules: BTreeMap::from([("a.rego".to_owned(), "package a".to_owned())]),
            ..WrittenPolicy::default()
        },
        ..Written::default()
    };
    let text = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Written>(&text).unwrap(), written);
    assert_eq!(Config::from_json(text.as_bytes()).unwrap(), Config::try_from(written).unwrap());
}

#[test]
fn a_typo_is_shown_with_its_line_and_a_caret() {
    let text = "{\n  \"limits\": {\n    \"instrutions\": 5\n  }\n}";
    assert_eq!(
        Config::from_json(text.as_bytes()).unwrap_err().to_string(),
        "the configuration: unknown field `instrutions`, expected one of `instructions`, `time_ms`, \
         `policy_bytes`, `policy_columns`, `policy_lines`
 --> configuration:3:17
  |
3 |     \"instrutions\": 5
  |                 ^"
    );
}

#[test]
fn unknown_repeated_and_senseless_fields_are_refused() {
    let dry_run = json!({"mode": "dry_run", "dry_run_until": "2026-12-31T00:00:00Z", "peers": []});
    assert!(read(dry_run).is_ok());
    for (json, want) in [
        (json!({"polcy": {}}), "unknown field `polcy`"),
        (json!({"policy": {"rules": {}}}), "unknown field `rules`"),
        (json!({"mode": "observe"}), "unknown variant `observe`"),
        (json!({"limits": {"instructions": 0}}), "expected a nonzero"),
        (json!({"limits": {"time_ms": -1}}), "expected a nonzero"),
        (json!({"mode": "dry_run", "peers": []}), "`dry_run` needs `dry_run_until`"),
        (
            json!({"mode": "dry_run", "dry_run_until": "tomorrow", "peers": []}),
            "`dry_run_until` is `tomorrow`",
        ),
        (
            json!({"mode": "dry_run", "dry_run_until": "2026-12-31T00:00:00Z"}),
            "`dry_run` needs `peers`",
        ),
        (json!({"dry_run_until": "2026-12-31T00:00:00Z"}), "`dry_run_until` without"),
        (json!({"policy": {"adapter": "kubelet-tls-proxy"}}), "needs `peers`"),
        (
            json!({"policy": {"adapter": "kubelet-tls-proxy", "entrypoint": "data.x"}, "peers": []}),
            "`entrypoint` beside",
        ),
        (
            json!({"policy": {"adapter": "kubelet-tls-proxy"}, "peers": [], "profile": "http"}),
            "in profile `http`",
        ),
        (json!({"http": {"headers": []}}), "`http` has no meaning"),
        (
            json!({"profile": "http", "token_cluster": "a"}),
            "`token_cluster` has no meaning in profile `http`",
        ),
        (json!({"token_cluster": ""}), "`token_cluster` is empty"),
        (
            json!({
                "token_cluster": "a",
                "peers": [],
                "policy": {"modules": {"a.rego": "package a"}, "adapter": "kubelet-tls-proxy"},
            }),
            "knows no callers with a token",
        ),
        (
            json!({"profile": "http", "http": {"headers": ["X-Tenant"]}}),
            "`http.headers` has `X-Tenant`",
        ),
        (json!({"log": {"mask": ["exec.env"]}}), "`log.mask` has `exec.env`"),
        (json!({"node": {"nome": "a"}}), "unknown field `nome`"),
        (json!({"policy": {"sha256": "ab"}}), "the configuration expects ab"),
        (json!([]), "not a JSON object"),
    ] {
        let message = message(json.clone());
        assert!(message.contains(want), "{json}: {message}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_at_any_depth() {
    for text in [
        r#"{"mode": "enforce", "mode": "enforce"}"#,
        r#"{"policy": {"modules": {"a.rego": "package a", "a.rego": "package b"}}}"#,
        r#"{"policy": {"data": {"kubelet": {"peers": [{"a": 1, "a": 2}]}}}}"#,
    ] {
        let message = Config::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("stands twice"), "{text}: {message}");
    }
}

#[test]
fn a_struct_is_told_how_to_become_text() {
    let message =
        Config::from_json(b"\n\x12\n\x07profile\x12\x07\x1a\x05gates").unwrap_err().to_string();
    assert!(message.contains("google.protobuf.Struct"), "{message}");
    assert!(message.contains("google.protobuf.StringValue"), "{message}");
    let message = Config::from_json(b"").unwrap_err().to_string();
    assert!(message.starts_with("there is no configuration"), "{message}");
}
