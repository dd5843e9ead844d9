//! The kubelet's configuration in each profile, as it is shipped.

use anyhow::Context as _;
use gatelet_certs::{Ca, Files, Persona};
use gatelet_tests::envoy::project;
use serde_json::{Value, json};

#[test]
fn both_profiles_leave_the_kubelet_to_the_gate() -> anyhow::Result<()> {
    for profile in ["owned", "hardened"] {
        let kubelet = shipped(profile)?;
        for (pointer, want) in [
            ("/kind", json!("KubeletConfiguration")),
            ("/address", json!("127.0.0.1")),
            ("/port", json!(10250)),
            ("/readOnlyPort", json!(0)),
            ("/serverTLSBootstrap", json!(false)),
            ("/authentication/anonymous/enabled", json!(false)),
        ] {
            assert_eq!(kubelet.pointer(pointer), Some(&want), "{profile}: {pointer}");
        }
    }
    Ok(())
}

#[test]
fn an_owned_kubelet_asks_nobody_and_trusts_the_gate_alone() -> anyhow::Result<()> {
    let kubelet = shipped("owned")?;
    assert_eq!(kubelet["authentication"]["webhook"]["enabled"], false);
    assert_eq!(kubelet["authorization"]["mode"], "AlwaysAllow");
    // Where `gatelet-certs create --out /etc/gatelet/pki` puts them.
    let Files::Pair(serving) = Persona::KubeletServingOwned.identity().files else {
        panic!("the kubelet's own pair is none")
    };
    let pki = |name: &str| format!("/etc/gatelet/pki/{name}");
    assert_eq!(kubelet["tlsCertFile"], pki(&format!("{serving}.crt")));
    assert_eq!(kubelet["tlsPrivateKeyFile"], pki(&format!("{serving}.key")));
    let ca = pki(&format!("{}.crt", Ca::Gate.identity().stem));
    assert_eq!(kubelet["authentication"]["x509"]["clientCAFile"], ca);
    Ok(())
}

#[test]
fn a_hardened_kubelet_goes_on_asking() -> anyhow::Result<()> {
    let kubelet = shipped("hardened")?;
    assert_eq!(kubelet["authentication"]["webhook"]["enabled"], true);
    assert_eq!(kubelet["authorization"]["mode"], "Webhook");
    assert_eq!(kubelet["authentication"]["x509"]["clientCAFile"], "/etc/kubernetes/pki/ca.crt");
    Ok(())
}

fn shipped(profile: &str) -> anyhow::Result<Value> {
    let file = project().join(format!("envoy/kubelet/kubelet-{profile}.yaml"));
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(serde_saphyr::from_str(&text)?)
}
