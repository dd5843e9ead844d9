//! Settings as a kubelet shows them, and what the requirements make of them.

use serde_json::{Value, json};

use super::*;

/// What kubeadm's kubelet shows, with the benchmark's further wishes.
fn configuration() -> Value {
    json!({
        "address": "0.0.0.0",
        "port": 10250,
        "authentication": {
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
            "webhook": {"enabled": true},
            "anonymous": {"enabled": false},
        },
        "authorization": {"mode": "Webhook"},
        "streamingConnectionIdleTimeout": "4h0m0s",
        "makeIPTablesUtilChains": true,
        "eventRecordQPS": 50,
        "tlsCertFile": "/etc/gatelet/kubelet/tls.crt",
        "tlsPrivateKeyFile": "/etc/gatelet/kubelet/tls.key",
        "tlsCipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        "rotateCertificates": true,
        "podPidsLimit": 4096,
        "seccompDefault": true,
    })
}

fn verdict(profile: Profile, configuration: &Value) -> Verdict {
    let body = json!({"kubeletconfig": configuration}).to_string();
    Posture::new(profile).unwrap().verdict(body.as_bytes()).unwrap()
}

fn pass(profile: Profile) -> Verdict {
    Verdict { status: Overall::Pass, ..Verdict::unknown(profile) }
}

/// The configuration with another value at a JSON pointer, or without it.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut configuration = configuration();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = configuration.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(key.to_owned(), value),
        None => parent.remove(key),
    };
    configuration
}

#[test]
fn a_sound_kubelet_passes() {
    assert_eq!(verdict(Profile::Cis, &configuration()), pass(Profile::Cis));
}

#[test]
fn each_gap_has_its_identifier() {
    let posture = Posture::new(Profile::Cis).unwrap();
    for (pointer, value, failed, warned) in [
        ("/authentication/anonymous/enabled", Some(json!(true)), "4.2.1", ""),
        ("/authorization/mode", Some(json!("AlwaysAllow")), "4.2.2", ""),
        ("/authorization/mode", Some(json!("alwaysAllow")), "4.2.2", ""),
        ("/authentication/x509/clientCAFile", None, "4.2.3", ""),
        ("/authentication/x509/clientCAFile", Some(json!("")), "4.2.3", ""),
        ("/readOnlyPort", Some(json!(10255)), "", "4.2.4"),
        ("/readOnlyPort", Some(json!(0)), "", ""),
        ("/streamingConnectionIdleTimeout", Some(json!("0s")), "", "4.2.5"),
        ("/streamingConnectionIdleTimeout", Some(json!("-1s")), "", "4.2.5"),
        ("/streamingConnectionIdleTimeout", Some(json!("soon")), "", "4.2.5"),
        ("/streamingConnectionIdleTimeout", Some(json!("5m")), "", ""),
        ("/makeIPTablesUtilChains", Some(json!(false)), "4.2.6", ""),
        ("/eventRecordQPS", Some(json!(-1)), "", "4.2.8"),
        ("/eventRecordQPS", Some(json!(0)), "", ""),
        ("/tlsCertFile", None, "", "4.2.9"),
        ("/tlsPrivateKeyFile", None, "", "4.2.9"),
        ("/rotateCertificates", None, "4.2.10", ""),
        ("/rotateCertificates", Some(json!(false)), "4.2.10", ""),
        ("/featureGates", Some(json!({"RotateKubeletServerCertificate": false})), "", "4.2.11"),
        ("/featureGates", Some(json!({"AllBeta": false})), "", "4.2.11"),
        (
            "/featureGates",
            Some(json!({"AllBeta": false, "RotateKubeletServerCertificate": true})),
            "",
            "",
        ),
        ("/tlsCipherSuites", None, "", "4.2.12"),
        ("/tlsCipherSuites", Some(json!([])), "", "4.2.12"),
        (
            "/tlsCipherSuites",
            Some(json!([
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_RSA_WITH_AES_256_GCM_SHA384",
            ])),
            "",
            "4.2.12",
        ),
        ("/podPidsLimit", Some(json!(-1)), "", "4.2.13"),
        ("/podPidsLimit", Some(json!(0)), "", "4.2.13"),
        ("/seccompDefault", Some(json!(false)), "", "4.2.14"),
    ] {
        let configuration = with(pointer, value.clone());
        let body = json!({"kubeletconfig": configuration}).to_string();
        let got = posture.verdict(body.as_bytes()).unwrap();
        let row = format!("{pointer} {value:?}");
        assert_eq!(
            (got.failed.join(","), got.warned.join(",")),
            (failed.into(), warned.into()),
            "{row}"
        );
        let status = if failed.is_empty() { Overall::Pass } else { Overall::Fail };
        assert_eq!(got.status, status, "{row}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let posture = Posture::new(Profile::Cis).unwrap();
    for (pointer, value) in [
        ("/authentication/anonymous/enabled", Some(json!("false"))),
        ("/authentication/anonymous/enabled", Some(Value::Null)),
        ("/authentication/anonymous/enabled", None),
        ("/authentication/anonymous/Enabled", Some(json!(true))),
        ("/authentication/anonymous", None),
        ("/authentication", Some(json!(false))),
        ("/Authentication", Some(json!({}))),
        ("/authorization/mode", None),
        ("/readOnlyPort", Some(json!("0"))),
        ("/readOnlyPort", Some(json!(0.5))),
        ("/streamingConnectionIdleTimeout", Some(json!(14400))),
        ("/tlsCipherSuites", Some(json!([1]))),
        ("/featureGates", Some(json!({"RotateKubeletServerCertificate": "true"}))),
        ("/podPidsLimit", None),
    ] {
        let configuration = with(pointer, value.clone());
        let body = json!({"kubeletconfig": configuration}).to_string();
        let got = posture.verdict(body.as_bytes()).unwrap();
        assert_eq!(got.status, Overall::Unknown, "{pointer} {value:?}");
    }
    assert_eq!(verdict(Profile::Cis, &configuration()).status, Overall::Pass);
}

#[test]
fn what_is_no_configz_has_no_verdict() {
    let posture = Posture::new(Profile::Cis).unwrap();
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "Forbidden",
        r#"{"kubeletconfig": null}"#,
        r#"{"kubeletconfig": {}, "kubeletconfig": {}}"#,
        "\u{feff}{}",
    ] {
        assert!(posture.verdict(body.as_bytes()).is_err(), "{body:?}");
    }
    assert!(posture.verdict(b"\xff").is_err());
    assert_eq!(posture.verdict(br#"{"kubeletconfig": {}}"#).unwrap().status, Overall::Fail);
}

#[test]
fn the_profiles_ask_for_their_own_kubelet() {
    let owned = |configuration: &mut Value| {
        configuration["address"] = json!("127.0.0.1");
        configuration["authorization"]["mode"] = json!("AlwaysAllow");
        configuration["authentication"]["webhook"]["enabled"] = json!(false);
    };
    let mut hardened = configuration();
    hardened["address"] = json!("127.0.0.1");
    let mut both = configuration();
    owned(&mut both);
    let owned = both;
    for (profile, configuration, failed, warned) in [
        (Profile::Cis, &owned, "4.2.2", ""),
        (Profile::Owned, &owned, "", ""),
        (Profile::Hardened, &owned, "4.2.2", "gate.tokens"),
        (Profile::Cis, &hardened, "", ""),
        (Profile::Owned, &hardened, "gate.authorization,gate.tokens", ""),
        (Profile::Hardened, &hardened, "", ""),
        (Profile::Hardened, &configuration(), "gate.address", ""),
    ] {
        let got = verdict(profile, configuration);
        assert_eq!(
            (got.failed.join(","), got.warned.join(",")),
            (failed.to_owned(), warned.to_owned()),
            "{profile:?} {configuration}"
        );
    }
}

#[test]
fn checks_come_in_the_order_of_their_numbers() {
    let body = json!({"kubeletconfig": configuration()}).to_string();
    let settings = settings_of_configz(body.as_bytes()).unwrap();
    let checks = Posture::new(Profile::Owned).unwrap().checks(&settings).unwrap();
    let ids: Vec<_> = checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "4.2.1",
            "4.2.3",
            "4.2.4",
            "4.2.5",
            "4.2.6",
            "4.2.7",
            "4.2.8",
            "4.2.9",
            "4.2.10",
            "4.2.11",
            "4.2.12",
            "4.2.13",
            "4.2.14",
            "gate.address",
            "gate.authorization",
            "gate.client-ca",
            "gate.port",
            "gate.serving-certificate",
            "gate.tokens",
        ]
    );
}
