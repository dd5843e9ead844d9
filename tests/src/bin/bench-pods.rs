//! The cost of the sidecar, encrypted against plain, as a Markdown table. Needs root.

use std::process::ExitCode;

use gatelet_tests::{bench_pods, interrupt::unless_interrupted};

#[tokio::main]
async fn main() -> ExitCode {
    match unless_interrupted(bench_pods::run()).await {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
