//! Certificates judged by webpki, which had no part in making them.

use std::mem::discriminant;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use gatelet_certs::{Ca, Cluster, Error, Flaw, NodeName, Options, Pair, Persona, Subject, Usage};
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{cluster, options};

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Judges a pair as a peer that trusts `ca` would.
fn verify(pair: &Pair, ca: &str, usage: KeyUsage) -> Result<(), webpki::Error> {
    let (certificate, ca) = (der(&pair.certificate), der(ca));
    let anchors = [anchor_from_trusted_cert(&ca).unwrap()];
    EndEntityCert::try_from(&certificate)?
        .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &[], UnixTime::now(), usage, None, None)
        .map(drop)
}

/// The same for a server that was dialled by a name.
pub(crate) fn verify_server(pair: &Pair, ca: &str, name: &str) -> Result<(), webpki::Error> {
    verify(pair, ca, KeyUsage::server_auth())?;
    let certificate = der(&pair.certificate);
    EndEntityCert::try_from(&certificate)?
        .verify_is_valid_for_subject_name(&name.try_into().unwrap())
}

/// `CN=…`, `O=…` and the like, in the order of the certificate.
fn subject(pair: &Pair) -> Vec<String> {
    let certificate = der(&pair.certificate);
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    let attributes = parsed.subject().iter_attributes();
    attributes
        .map(|attribute| {
            let number = attribute.attr_type().to_id_string();
            let name = match number.as_str() {
                "2.5.4.3" => "CN",
                "2.5.4.10" => "O",
                other => other,
            };
            format!("{name}={}", attribute.as_str().unwrap())
        })
        .collect()
}

#[test]
fn every_certificate_serves_its_usages_under_its_ca_and_nothing_else() {
    let cluster = cluster();
    for persona in Persona::value_variants() {
        let (identity, pair) = (persona.identity(), cluster.issue(*persona).unwrap());
        let (client, server) = match identity.usage {
            Usage::Client => (true, false),
            Usage::Server(_) => (false, true),
            Usage::ServerAndClient(_) => (true, true),
        };
        for ca in Ca::value_variants() {
            let ours = *ca == identity.ca;
            let ca_pem = cluster.authority(*ca).certificate();
            for (usage, may) in
                [(KeyUsage::client_auth(), client), (KeyUsage::server_auth(), server)]
            {
                let verdict = verify(&pair, ca_pem, usage);
                assert_eq!(
                    verdict.is_ok(),
                    may && ours,
                    "{persona:?} {ca:?} {usage:?}: {verdict:?}"
                );
            }
        }
        assert_eq!(pair.ca, cluster.authority(identity.ca).certificate(), "{persona:?}");
    }
}

#[test]
fn a_leaf_is_no_ca_and_its_key_is_its_own() {
    let cluster = cluster();
    for persona in Persona::value_variants() {
        let pair = cluster.issue(*persona).unwrap();
        let certificate = der(&pair.certificate);
        let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
        let basic = parsed.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && !basic.value.ca, "{persona:?}");
        let key = KeyPair::from_pem(&pair.key).unwrap();
        assert_eq!(parsed.public_key().raw, key.subject_public_key_info(), "{persona:?}");
        assert_ne!(pair.key, cluster.issue(*persona).unwrap().key, "{persona:?}");
        assert!(!format!("{pair:?}").contains("PRIVATE KEY"), "{persona:?} in a log");
    }
}

#[test]
fn subjects_are_the_users_and_groups_that_kubernetes_knows() {
    let cluster = cluster();
    for (persona, want) in [
        (Persona::Apiserver, &["CN=kube-apiserver"][..]),
        (
            Persona::ApiserverKubeletClient,
            &["O=kubeadm:cluster-admins", "CN=kube-apiserver-kubelet-client"],
        ),
        (Persona::EtcdPeer, &["CN=control-plane"]),
        (Persona::GateServing, &["O=system:nodes", "CN=system:node:worker-1"]),
        (Persona::KubeletClient, &["O=system:nodes", "CN=system:node:worker-1"]),
        (Persona::OtherNode, &["O=system:nodes", "CN=system:node:worker-2"]),
        (Persona::Scheduler, &["CN=system:kube-scheduler"]),
        (Persona::Prometheus, &["O=monitoring", "CN=prometheus"]),
    ] {
        assert_eq!(subject(&cluster.issue(persona).unwrap()), want, "{persona:?}");
    }
}

#[test]
fn servers_answer_to_their_own_names_only() {
    let cluster = cluster();
    for (persona, name, want) in [
        (Persona::GateServing, "worker-1", true),
        (Persona::GateServing, "10.0.0.5", true),
        (Persona::GateServing, "127.0.0.1", false),
        (Persona::GateServing, "worker-2", false),
        (Persona::GateServing, "system", false),
        (Persona::KubeletServingOwned, "worker-1", true),
        (Persona::KubeletServingHardened, "worker-1", true),
        (Persona::KubeletServingHardened, "worker-1.local", false),
        (Persona::Apiserver, "kubernetes.default.svc", true),
        (Persona::Apiserver, "10.96.0.1", true),
        (Persona::Apiserver, "worker-1", false),
        (Persona::EtcdServer, "::1", true),
        (Persona::EtcdServer, "kubernetes", false),
    ] {
        let pair = cluster.issue(persona).unwrap();
        let verdict = verify_server(&pair, &pair.ca, name);
        assert_eq!(verdict.is_ok(), want, "{persona:?} as {name}: {verdict:?}");
    }
}

#[test]
fn each_flaw_is_refused_for_its_own_reason() {
    use webpki::Error as E;
    let at = UnixTime::now();
    let expired = E::CertExpired { time: at, not_after: at };
    let early = E::CertNotValidYet { time: at, not_before: at };
    let (client, gate) = (Persona::ApiserverKubeletClient, Persona::GateServing);
    let kubelet = Persona::KubeletServingOwned;
    let cluster = cluster();
    let right = cluster.issue(client).unwrap();
    assert_eq!(verify(&right, &right.ca, KeyUsage::client_auth()), Ok(()));

    // webpki's errors carry the names and times at hand: their kind is the reason.
    let ca = |persona: Persona| cluster.authority(persona.identity().ca).certificate();
    let as_client = |flaw| {
        let pair = cluster.flawed(client, flaw).unwrap();
        verify(&pair, ca(client), KeyUsage::client_auth()).unwrap_err()
    };
    let as_server = |persona, flaw| {
        let pair = cluster.flawed(persona, flaw).unwrap();
        verify_server(&pair, ca(persona), "worker-1").unwrap_err()
    };
    let wrong_name = verify_server(&cluster.issue(gate).unwrap(), ca(gate), "x").unwrap_err();
    assert!(matches!(wrong_name, E::CertNotValidForName(_)), "{wrong_name:?}");
    let wrong_usage =
        verify(&cluster.issue(gate).unwrap(), ca(gate), KeyUsage::client_auth()).unwrap_err();
    assert!(matches!(wrong_usage, E::RequiredEkuNotFoundContext(_)), "{wrong_usage:?}");
    for (case, got, want) in [
        ("client expired", as_client(Flaw::Expired), &expired),
        ("client early", as_client(Flaw::NotYetValid), &early),
        ("client of a stranger", as_client(Flaw::WrongCa), &E::InvalidSignatureForPublicKey),
        ("client may only serve", as_client(Flaw::WrongUsage), &wrong_usage),
        ("gate expired", as_server(gate, Flaw::Expired), &expired),
        ("gate may only be a client", as_server(gate, Flaw::WrongUsage), &wrong_usage),
        ("gate without names", as_server(gate, Flaw::NoNames), &wrong_name),
        ("kubelet early", as_server(kubelet, Flaw::NotYetValid), &early),
        ("kubelet elsewhere", as_server(kubelet, Flaw::WrongName), &wrong_name),
        (
            "kubelet of a stranger",
            as_server(kubelet, Flaw::WrongCa),
            &E::InvalidSignatureForPublicKey,
        ),
    ] {
        assert_eq!(discriminant(&got), discriminant(want), "{case}: {got:?}");
    }
}

#[test]
fn a_subject_may_hold_any_characters() {
    let cluster = cluster();
    let (user, group, other) = ("a,b+c=\"d\";<e>\\f ", "Müller, 東京 + Söhne", "#1");
    let organizations = vec![group.to_owned(), other.to_owned()];
    let named = |organizations| Subject { common_name: user.into(), organizations };
    let pair = cluster.client(named(organizations.clone())).unwrap();
    let want = [format!("O={group}"), format!("O={other}"), format!("CN={user}")];
    assert_eq!(subject(&pair), want);
    assert_eq!(verify(&pair, &pair.ca, KeyUsage::client_auth()), Ok(()));

    let three = [organizations, vec!["third".into()]].concat();
    let refused = cluster.client(named(three));
    assert!(matches!(refused, Err(Error::Organizations(3))), "{refused:?}");
}

#[test]
fn lifetimes_are_what_was_asked_for_and_never_longer_than_the_cas() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for (ca_days, leaf_days, want) in [(3_650, 365, 365), (3_650, 1, 1), (10, 365, 10)] {
        let cluster = Cluster::new(Options { ca_days, leaf_days, ..options() }, now).unwrap();
        let certificate = der(&cluster.issue(Persona::Prometheus).unwrap().certificate);
        let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
        let validity = parsed.validity();
        let ends = validity.not_after.timestamp() - 1_800_000_000;
        assert_eq!(ends, want * 86_400, "CA {ca_days}, leaf {leaf_days}");
        assert_eq!(validity.not_before.timestamp(), 1_800_000_000 - 300, "clocks differ");
    }
}

#[test]
fn node_names_are_those_that_kubernetes_takes() {
    let long = "a".repeat(254);
    for (name, want) in [
        ("worker-1", true),
        ("ip-10-0-0-5.eu-west-1.compute.internal", true),
        ("1", true),
        ("", false),
        ("Worker", false),
        ("-a", false),
        ("a-", false),
        ("a..b", false),
        ("a/../b", false),
        ("a\nb", false),
        (&long, false),
    ] {
        assert_eq!(name.parse::<NodeName>().is_ok(), want, "{name:?}");
    }
}
