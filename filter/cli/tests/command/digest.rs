//! `gatelet digest`.

use crate::support::{METRICS, done, folder, gatelet, write};

#[test]
fn it_is_what_render_prints_and_a_rendered_file_has() {
    let folder =
        folder(&[METRICS, ("data.yaml", "a: 1"), ("rego/x_test.rego", "package x_test\n")]);
    let data = ["--data", "data.yaml"];
    let rendered =
        done(folder.path(), &[&["render", "rego", "-o", "p.json"], &data[..]].concat()).out;
    let of_folder = done(folder.path(), &[&["digest", "rego"], &data[..]].concat()).out;
    assert_eq!(of_folder, rendered.replace("p.json", "rego"));
    assert_eq!(done(folder.path(), &["digest", "p.json"]).out, rendered);
    write(folder.path(), "rego/x_test.rego", "package y_test\n");
    assert_eq!(done(folder.path(), &[&["digest", "rego"], &data[..]].concat()).out, of_folder);
    assert_ne!(done(folder.path(), &["digest", "rego"]).out, of_folder);
}

#[test]
fn another_one_fails_a_check() {
    let folder = folder(&[METRICS]);
    let digest = done(folder.path(), &["digest", "rego"]).out;
    let digest = digest.split(' ').next().unwrap();
    let other = digest.replace(|letter: char| letter != '0', "0");
    for (expected, code) in
        [(digest, 0), (&digest.to_uppercase(), 0), (&other, 1), ("0", 2), ("", 2)]
    {
        let run = gatelet(folder.path(), &["digest", "rego", "--check", expected]);
        assert_eq!(run.code, code, "{expected}: {}", run.err);
    }
}
