//! `make demo`: the gate at work, as a table.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use gatelet_tests::demo::Table;

/// Puts a kubelet behind a policy, sends what a cluster sends, and shows what was decided.
#[derive(Parser)]
struct Arguments {
    /// Where to leave the decision log.
    #[arg(long, default_value = "decisions.log")]
    log: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { log } = Arguments::parse();
    match gatelet_tests::demo::run(&log).await {
        Ok(table) => show(&table, &log),
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(table: &Table, log: &Path) -> ExitCode {
    println!("{table}");
    let unexpected = table.rows().iter().filter(|row| !row.as_promised).count();
    println!("\nThe decision log, one JSON object a line, is {}. A look at it:", log.display());
    println!("  grep -o '\"reason\":\"[a-z_]*\"' {} | sort | uniq -c", log.display());
    println!("To try next:");
    println!("  make up                     # the same, left running for curl, until `make down`");
    println!("  $EDITOR tests/demo/policy.yaml && make demo");
    println!("\n{} rows, {unexpected} other than promised", table.rows().len());
    if unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
