//! The READMEs say what is so: their tables are the programs' own.
//!
//! `UPDATE_README=1 cargo test --package gatelet-tests --test readme` writes them anew.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use gatelet_tests::demo;
use gatelet_tests::envoy::project;

#[test]
fn the_certificates_are_those_that_are_issued() -> anyhow::Result<()> {
    section(README, "certs", &gatelet_certs::table(), |line| line.to_owned())
}

/// The demo as `make demo` runs it: every row has to come out as promised, and is in the README.
#[tokio::test]
async fn the_demo_shows_what_it_promises() -> anyhow::Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let table = demo::run(log.path()).await?;
    assert!(table.is_as_promised(), "{table}");
    assert!(table.rows.len() > 20, "rows are missing:\n{table}");
    section(README, "demo", &format!("```\n{table}\n```"), without_time)
}

/// The same of `make demo-approver`.
#[tokio::test]
async fn the_approver_s_demo_shows_what_it_promises() -> anyhow::Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let table = demo::run_approver(log.path()).await?;
    assert!(table.is_as_promised(), "{table}");
    let text = table.to_string();
    assert!(!text.contains('…') && text.lines().all(|line| line.chars().count() <= 150), "{text}");
    section("envoy/approver/README.md", "demo", &format!("```\n{text}\n```"), without_time)
}

const README: &str = "README.md";

/// A row of the table without its last column, which differs with every run.
fn without_time(line: &str) -> String {
    let end = line.rfind(['┆', '┬', '╪', '┴']).unwrap_or(line.len());
    line.get(..end).unwrap_or(line).to_owned()
}

/// Compares what stands between two marks of a README, line by line.
fn section(file: &str, name: &str, want: &str, line: fn(&str) -> String) -> anyhow::Result<()> {
    let file: PathBuf = project().join(file);
    let readme = fs::read_to_string(&file)?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let missing = || format!("{} has no section {name}", file.display());
    let (before, rest) = readme.split_once(&begin).with_context(missing)?;
    let (found, after) = rest.split_once(&end).with_context(missing)?;
    if std::env::var_os("UPDATE_README").is_some() {
        let want = want.trim_end();
        fs::write(&file, format!("{before}{begin}{want}\n{end}{after}"))?;
        return Ok(());
    }
    let lines = |text: &str| text.trim_end().lines().map(line).collect::<Vec<_>>();
    assert_eq!(lines(found), lines(want), "set UPDATE_README=1 to write it anew");
    Ok(())
}
