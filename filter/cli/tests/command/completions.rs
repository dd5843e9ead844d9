//! `gatelet completions` and `gatelet man`.

use std::fs;

use crate::support::{done, folder};

#[test]
fn every_shell_learns_every_subcommand() {
    let folder = folder(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = done(folder.path(), &["completions", shell]).out;
        for subcommand in ["check", "digest", "render", "test"] {
            assert!(script.contains(subcommand), "{shell}: {subcommand}");
        }
    }
}

#[test]
fn every_subcommand_has_a_page() {
    let folder = folder(&[]);
    done(folder.path(), &["man", "man1"]);
    for page in
        ["gatelet.1", "gatelet-check.1", "gatelet-digest.1", "gatelet-render.1", "gatelet-test.1"]
    {
        let text = fs::read_to_string(folder.path().join("man1").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}
