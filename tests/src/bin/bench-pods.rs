//! The cost of the sidecar, encrypted against plain, decided against not, as Markdown. Needs root.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gatelet_tests::{bench_pods, interrupt::unless_interrupted};

/// Measures the sidecar between two pods.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where `pods.md` goes.
    #[arg(long)]
    to: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let file = Arguments::parse().to.join("pods.md");
    let written = async { Ok(std::fs::write(&file, bench_pods::run().await?)?) };
    match unless_interrupted(written).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
