//! The command, as it is typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use clap::ValueEnum;
use gatelet_certs::{Ca, Persona, table};
use tempfile::tempdir;

fn certs(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatelet-certs"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = certs(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// `a.{b,c}` as the shell reads it.
fn expand(line: &str) -> Vec<String> {
    let Some((stem, rest)) = line.split_once('{') else {
        return vec![line.into()];
    };
    rest.trim_end_matches('}').split(',').map(|end| format!("{stem}{end}")).collect()
}

#[test]
fn create_prints_every_file_that_it_made() {
    let scratch = tempdir().unwrap();
    let printed = succeed(scratch.path(), &["create", "--out", "out", "--node", "worker-1"]);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), Ca::value_variants().len() + Persona::value_variants().len() + 1);
    for path in lines.into_iter().flat_map(expand) {
        assert!(scratch.path().join(&path).is_file(), "{path}");
    }
}

#[test]
fn a_pair_is_issued_and_renewed_in_its_folder() {
    let scratch = tempdir().unwrap();
    succeed(scratch.path(), &["create", "--out", "out", "--node", "worker-1", "--ca", "cluster"]);
    let read = || std::fs::read(scratch.path().join("out/gatelet/serving/tls.crt")).unwrap();
    let before = read();
    let renew = ["renew", "gate-serving", "--from", "out", "--out", "out/gatelet/serving"];
    let printed = succeed(scratch.path(), &[&renew[..], &["--node", "worker-1"]].concat());
    assert_eq!(printed, "out/gatelet/serving/{tls.crt,tls.key,ca.crt}\n");
    assert_ne!(read(), before);
    // The old version is gone, and the folder can be moved elsewhere.
    let folder = scratch.path().join("out/gatelet/serving");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5);
    let version = std::fs::read_link(folder.join("..data")).unwrap();
    assert_eq!(version.components().count(), 1, "{}", version.display());
}

#[test]
fn a_rotated_pair_is_handed_over_and_stays_readable_for_the_group() {
    let scratch = tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
    succeed(scratch.path(), &["create", "--out", "out", "--node", "worker-1"]);
    // As kubelets keep theirs: certificate and key in one file.
    let rotate = || {
        let (folder, name) = ("out", path("new"));
        let issue =
            ["issue", "gate-serving", "--from", folder, "--out", "new", "--node", "worker-1"];
        succeed(scratch.path(), &issue);
        let both = ["tls.crt", "tls.key"].map(|file| fs::read_to_string(name.join(file)).unwrap());
        fs::write(path("current.pem"), both.concat()).unwrap();
        fs::remove_dir_all(name).unwrap();
        both
    };
    let import = ["import", "--from", "current.pem", "--ca", "out/pki/ca.crt", "--out", "serving"];
    let held =
        || ["tls.crt", "tls.key"].map(|f| fs::read_to_string(path("serving").join(f)).unwrap());
    let mode = || fs::metadata(path("serving/tls.key")).unwrap().permissions().mode() & 0o777;

    let first = rotate();
    succeed(scratch.path(), &[&import[..], &["--group", &group.name]].concat());
    assert_eq!((held(), mode()), (first.clone(), 0o640));
    // The group stays, also when nobody names it.
    let second = rotate();
    assert_ne!(first, second);
    succeed(scratch.path(), &import);
    assert_eq!((held(), mode()), (second.clone(), 0o640));

    // What is no pair changes nothing.
    for (text, want) in [("", "holds no certificate"), (&second[0], "holds no private key")] {
        fs::write(path("current.pem"), text).unwrap();
        let output = certs(scratch.path(), &import);
        assert_eq!(output.status.code(), Some(1), "{want}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(want), "{said}");
        assert_eq!(held(), second, "{want}");
    }
    let output = certs(scratch.path(), &[&import[..], &["--group", "no-such-group"]].concat());
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no group no-such-group"));
}

#[test]
fn mistakes_are_told_with_the_way_out() {
    let scratch = tempdir().unwrap();
    let create = ["create", "--out", "out", "--node", "worker-1"];
    succeed(scratch.path(), &create);
    for (arguments, want) in [
        (
            &create[..],
            "gatelet-certs: `out/admin.conf` already exists and nothing is overwritten: choose an \
             empty folder with --out, or delete it yourself\n",
        ),
        (
            &["issue", "prometheus", "--from", "none", "--out", "new", "--node", "n"],
            "gatelet-certs: cannot read `none/pki/ca.crt`, which a folder with a CA has if \
             `gatelet-certs create` or kubeadm made it: No such file or directory (os error 2)\n",
        ),
        (
            &[
                "issue",
                "gate-serving",
                "--from",
                "out",
                "--out",
                "out/gatelet/serving",
                "--node",
                "n",
            ],
            "gatelet-certs: out/gatelet/serving has a certificate already; `renew` puts a fresh one \
             in its place\n",
        ),
        (
            &["create", "--out", "out/admin.conf/x", "--node", "n"],
            "gatelet-certs: cannot write `out/admin.conf`: File exists (os error 17)\n",
        ),
    ] {
        let output = certs(scratch.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), want, "{arguments:?}");
    }
    let typo = certs(scratch.path(), &["create", "--out", "new", "--node", "Worker_1"]);
    assert!(String::from_utf8(typo.stderr).unwrap().contains("`Worker_1` is no node name"));
    assert!(!scratch.path().join("new").exists());
}

#[test]
fn the_list_has_a_row_for_everybody() {
    let printed = succeed(Path::new("."), &["list"]);
    assert_eq!(printed, table());
    for persona in Persona::value_variants() {
        let identity = persona.identity();
        let name = persona.to_possible_value().unwrap();
        let row = printed.lines().find(|row| row.contains(&format!("| {} |", name.get_name())));
        let row = row.unwrap_or_else(|| panic!("no row for {persona:?}"));
        for cell in [identity.channel, identity.common_name, identity.presented_by] {
            assert!(row.contains(cell), "{row} lacks {cell}");
        }
    }
    for table in printed.split("\n\n") {
        let columns = |row: &str| row.matches('|').count();
        let first = columns(table.lines().next().unwrap());
        assert!(table.lines().all(|row| columns(row) == first), "uneven: {table}");
    }
}
