//! `make demo-pods`: the sidecar at work between two pods.

use std::process::ExitCode;

use gatelet_tests::{demo_pods, interrupt::unless_interrupted};

#[tokio::main]
async fn main() -> ExitCode {
    match unless_interrupted(demo_pods::run()).await {
        Ok(table) => {
            let unexpected = table.rows.iter().filter(|row| !row.as_promised).count();
            println!("{table}\n\n{} rows, {unexpected} other than promised", table.rows.len());
            if table.is_as_promised() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
