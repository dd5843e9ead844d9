//! What lies on disk: modes, nothing overwritten, nothing half-written, rotation in one move.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::ValueEnum;
use gatelet_certs::{Ca, Cluster, Error, Options, Persona, issue_from, publish};
use tempfile::tempdir;

use crate::{cluster, options};

/// Every file below a folder with its bytes, links as what they point to.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn only_their_owner_reads_keys() {
    let scratch = tempdir().unwrap();
    let out = scratch.path().join("out");
    cluster().write(&out, Ca::value_variants()).unwrap();
    let mut secrets = 0;
    for (path, bytes) in contents(&out).into_iter().filter(|(path, _)| !path.is_symlink()) {
        let text = String::from_utf8(bytes).unwrap();
        let secret = text.contains("PRIVATE KEY") || text.contains("client-key-data");
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077 == 0, secret, "{} has mode {mode:o}", path.display());
        secrets += usize::from(secret);
    }
    let (cas, personas) = (Ca::value_variants().len(), Persona::value_variants().len());
    assert_eq!(secrets, cas + personas + 1, "one for each, and the ServiceAccount key");
}

#[test]
fn the_layout_is_kubeadms() {
    let scratch = tempdir().unwrap();
    cluster().write(scratch.path(), Ca::value_variants()).unwrap();
    for path in [
        "pki/ca.crt",
        "pki/ca.key",
        "pki/apiserver.crt",
        "pki/apiserver-kubelet-client.key",
        "pki/apiserver-etcd-client.crt",
        "pki/etcd/ca.crt",
        "pki/etcd/server.crt",
        "pki/etcd/peer.key",
        "pki/etcd/healthcheck-client.crt",
        "pki/front-proxy-ca.crt",
        "pki/front-proxy-client.key",
        "pki/sa.key",
        "pki/sa.pub",
        "admin.conf",
        "controller-manager.conf",
        "scheduler.conf",
        "kubelet.conf",
        "gatelet/serving/tls.crt",
        "gatelet/owned/ca.crt",
        "gatelet/hardened/tls.key",
    ] {
        assert!(scratch.path().join(path).is_file(), "{path}");
    }
}

#[test]
fn one_ca_is_written_with_its_own_people_only() {
    let scratch = tempdir().unwrap();
    cluster().write(scratch.path(), &[Ca::Gate, Ca::Gate]).unwrap();
    assert_eq!(names(scratch.path()), ["gatelet", "kubelet"]);
    assert_eq!(names(&scratch.path().join("gatelet")), ["ca.crt", "ca.key", "owned"]);
    assert_eq!(names(&scratch.path().join("kubelet")), ["owned.crt", "owned.key"]);
}

#[test]
fn a_kubeconfig_holds_its_own_ca_certificate_and_key() {
    let scratch = tempdir().unwrap();
    let address = "fd00::1".parse().unwrap();
    let cluster =
        Cluster::new(Options { apiserver_address: address, ..options() }, SystemTime::now());
    cluster.unwrap().write(scratch.path(), &[Ca::Cluster]).unwrap();
    let text = read(scratch.path().join("kubelet.conf"));
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap().strip_prefix(": ").unwrap().to_owned()
    };
    let decoded = |name| String::from_utf8(BASE64_STANDARD.decode(field(name)).unwrap()).unwrap();
    assert_eq!(decoded("certificate-authority-data"), read(scratch.path().join("pki/ca.crt")));
    assert!(decoded("client-certificate-data").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(decoded("client-key-data").starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(field("server"), "https://[fd00::1]:6443");
    assert_eq!(field("current-context"), "system:node:worker-1@kubernetes");
}

#[test]
fn nothing_that_exists_is_overwritten() {
    for in_the_way in ["pki/ca.key", "notes.txt", "gatelet/serving/tls.key"] {
        let scratch = tempdir().unwrap();
        let out = scratch.path().join("out");
        let existing = out.join(in_the_way);
        fs::create_dir_all(existing.parent().unwrap()).unwrap();
        fs::write(&existing, "precious").unwrap();
        let before = contents(scratch.path());

        let refused = cluster().write(&out, Ca::value_variants());

        assert!(
            matches!(&refused, Err(Error::Exists { path }) if *path == existing),
            "{in_the_way}: {refused:?}"
        );
        assert_eq!(contents(scratch.path()), before, "{in_the_way}");
        assert_eq!(names(scratch.path()), ["out"], "{in_the_way}: something was left behind");
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let scratch = tempdir().unwrap();
    let out = scratch.path().join("out");
    cluster().write(&out, Ca::value_variants()).unwrap();
    let before = contents(&out);
    assert!(matches!(cluster().write(&out, Ca::value_variants()), Err(Error::Exists { .. })));
    assert_eq!(contents(&out), before);
}

#[test]
fn a_failure_half_way_leaves_nothing_behind() {
    // A year in which a CA of one day still fits into the calendar, and a leaf's lifetime doesn't.
    let year_9900 = SystemTime::UNIX_EPOCH + Duration::from_secs(250_246_368_000);
    let scratch = tempdir().unwrap();
    let short = Options { ca_days: 1, leaf_days: 1, ..options() };
    let long = Options { leaf_days: u16::MAX, ..short.clone() };
    let write = |options, folder| {
        let out = scratch.path().join(folder);
        Cluster::new(options, year_9900).unwrap().write(&out, Ca::value_variants())
    };
    let failed = write(long, "long");
    assert!(matches!(failed, Err(Error::Lifetime { days: u16::MAX })), "{failed:?}");
    assert!(names(scratch.path()).is_empty(), "{:?}", names(scratch.path()));
    write(short, "short").unwrap();
    assert_eq!(names(scratch.path()), ["short"]);
}

#[test]
fn a_new_pair_takes_the_old_ones_place_in_one_move() {
    let scratch = tempdir().unwrap();
    let folder = scratch.path().join("serving");
    let cluster = cluster();
    let mut versions = Vec::new();
    for round in 0..3 {
        let pair = cluster.issue(Persona::GateServing).unwrap();
        publish(&folder, &pair).unwrap();
        for (name, want) in
            [("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &pair.ca)]
        {
            assert_eq!(read(folder.join(name)), *want, "round {round}");
            // Through one link, or a reader could pair a new certificate with an old key.
            let target = fs::read_link(folder.join(name)).unwrap();
            assert_eq!(target, Path::new("..data").join(name), "round {round}");
        }
        let version = fs::read_link(folder.join("..data")).unwrap();
        let mut want = vec![version.to_str().unwrap(), "..data", "ca.crt", "tls.crt", "tls.key"];
        want.sort_unstable();
        assert_eq!(names(&folder), want, "round {round}: an old key was left behind");
        assert!(!versions.contains(&version), "round {round}");
        versions.push(version);
    }
    assert_eq!(names(scratch.path()), ["serving"]);
}

#[test]
fn a_folder_with_something_else_in_it_is_no_place_to_publish() {
    let scratch = tempdir().unwrap();
    let folder = scratch.path().join("serving");
    let pair = cluster().issue(Persona::GateServing).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tls.key"), "precious").unwrap();
    let refused = publish(&folder, &pair);
    assert!(
        matches!(&refused, Err(Error::Exists { path }) if path.ends_with("serving/tls.key")),
        "{refused:?}"
    );
    assert_eq!(read(folder.join("tls.key")), "precious");
    assert_eq!(names(&folder), ["tls.key"]);
    assert_eq!(names(scratch.path()), ["serving"]);
}

#[test]
fn nobody_else_takes_a_pairs_place() {
    let scratch = tempdir().unwrap();
    let folder = scratch.path().join("serving");
    let cluster = cluster();
    publish(&folder, &cluster.issue(Persona::GateServing).unwrap()).unwrap();
    let before = contents(&folder);
    let refused = publish(&folder, &cluster.issue(Persona::Prometheus).unwrap());
    assert!(
        matches!(&refused, Err(Error::Exists { path }) if *path == folder.join("tls.crt")),
        "{refused:?}"
    );
    assert_eq!(contents(&folder), before);
}

#[test]
fn rotation_removes_nothing_outside_its_folder() {
    let scratch = tempdir().unwrap();
    let (folder, outside) = (scratch.path().join("serving"), scratch.path().join("outside"));
    let cluster = cluster();
    let pair = cluster.issue(Persona::GateServing).unwrap();
    publish(&folder, &pair).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("tls.crt"), &pair.certificate).unwrap();
    for target in [outside.clone(), "../outside".into()] {
        fs::remove_file(folder.join("..data")).unwrap();
        symlink(&target, folder.join("..data")).unwrap();
        let next = cluster.issue(Persona::GateServing).unwrap();
        publish(&folder, &next).unwrap();
        assert_eq!(read(folder.join("tls.crt")), next.certificate, "{}", target.display());
        assert_eq!(read(outside.join("tls.crt")), pair.certificate, "{}", target.display());
    }
}

#[test]
fn a_written_ca_issues_again() {
    let scratch = tempdir().unwrap();
    cluster().write(scratch.path(), Ca::value_variants()).unwrap();
    let now = SystemTime::now();
    for persona in Persona::value_variants() {
        let pair = issue_from(scratch.path(), *persona, &options(), now).unwrap();
        let stem = persona.identity().ca.identity().stem;
        assert_eq!(pair.ca, read(scratch.path().join(stem).with_added_extension("crt")));
    }
}

#[test]
fn kubeadms_own_ca_with_its_rsa_key_issues_too() {
    let kubeadm = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubeadm");
    let now = SystemTime::now();
    let pair = issue_from(&kubeadm, Persona::GateServing, &options(), now).unwrap();
    assert_eq!(pair.ca, read(kubeadm.join("pki/ca.crt")));
    crate::issuing::verify_server(&pair, &pair.ca, "worker-1").unwrap();
}

#[test]
fn what_is_no_ca_issues_nothing() {
    let scratch = tempdir().unwrap();
    cluster().write(scratch.path(), &[Ca::Cluster, Ca::Etcd]).unwrap();
    let pki = scratch.path().join("pki");
    let now = SystemTime::now();
    let issue = |now| issue_from(scratch.path(), Persona::Prometheus, &options(), now);
    issue(now).unwrap();

    let (certificate, key) = (read(pki.join("ca.crt")), read(pki.join("ca.key")));
    let leaf = (read(pki.join("apiserver.crt")), read(pki.join("apiserver.key")));
    let sec1 = key.replace("PRIVATE", "EC PRIVATE");
    for (case, certificate, key, want) in [
        ("a leaf", &leaf.0, &leaf.1, "is not the certificate of a CA"),
        (
            "another's key",
            &certificate,
            &read(pki.join("etcd/ca.key")),
            "does not belong to the key",
        ),
        ("no PEM", &"x".into(), &key, "holds no PEM certificate"),
        ("a key as certificate", &key, &key, "holds no X.509 certificate"),
        ("no key", &certificate, &String::new(), "holds no PEM private key"),
        ("a certificate as key", &certificate, &certificate, "is not in PKCS #8"),
        ("SEC 1", &certificate, &sec1, "openssl pkcs8 -topk8 -nocrypt"),
    ] {
        fs::write(pki.join("ca.crt"), certificate).unwrap();
        fs::write(pki.join("ca.key"), key).unwrap();
        let refused = issue(now).unwrap_err().to_string();
        assert!(refused.contains(want), "{case}: {refused}");
    }

    fs::write(pki.join("ca.crt"), &certificate).unwrap();
    fs::remove_file(pki.join("ca.key")).unwrap();
    let refused = issue(now).unwrap_err().to_string();
    assert!(
        refused.contains("pki/ca.key") && refused.contains("gatelet-certs create"),
        "{refused}"
    );
    fs::write(pki.join("ca.key"), &key).unwrap();
    let ended = issue(now + Duration::from_secs(86_400 * u64::from(Options::CA_DAYS)));
    assert!(matches!(ended, Err(Error::Ended(_))), "{ended:?}");
}
