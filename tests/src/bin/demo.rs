//! `make demo`, `make demo-approver`, `make up`, `make down` and `docker compose up`: the parts at work.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use gatelet_tests::{demo, interrupt::unless_interrupted, standing};

/// Puts a stand-in kubelet behind the gate, or a stand-in API server before the approver.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send what a cluster sends, show what was decided, and stop
    Run {
        /// Where to leave the decision log
        #[arg(long, default_value = "decisions.log")]
        log: PathBuf,
    },
    /// Ask an approver for certificates, show what it decided, and stop
    Approver {
        /// Where to leave the decision log
        #[arg(long, default_value = "approvals.log")]
        log: PathBuf,
    },
    /// Issue the certificates for the same with a container for each part
    Certificates {
        /// Where they go; nothing there is overwritten
        folder: PathBuf,
    },
    /// Send what a cluster sends to a gate that runs, and show what was decided
    Requests {
        /// Where the gate is: HOST:PORT
        #[arg(long)]
        gate: String,
        /// The folder in which it runs
        #[arg(long)]
        folder: PathBuf,
        /// The folder `callers` of `certificates`
        #[arg(long)]
        callers: PathBuf,
    },
    /// Leave it running
    Up {
        /// Where it keeps what it needs
        #[arg(long, default_value = ".run")]
        folder: PathBuf,
    },
    /// Stop it
    Down {
        /// The folder of `up`
        #[arg(long, default_value = ".run")]
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { log } => {
            unless_interrupted(demo::run(&log)).await.map(|table| show(&table, &log))
        }
        Command::Approver { log } => unless_interrupted(demo::run_approver(&log))
            .await
            .map(|table| show_approvals(&table, &log)),
        Command::Certificates { folder } => demo::certificates(&folder).map(|()| ExitCode::SUCCESS),
        Command::Requests { gate, folder, callers } => {
            unless_interrupted(demo::requests(&gate, &folder, &callers))
                .await
                .map(|table| count(&table))
        }
        Command::Up { folder } => standing::up(&folder).await.map(|invitation| {
            println!("{invitation}");
            ExitCode::SUCCESS
        }),
        Command::Down { folder } => standing::down(&folder).await.map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn show(table: &demo::Table, log: &Path) -> ExitCode {
    let verdict = count(table);
    let log = log.display();
    println!("The decision log, one JSON object a line, is {log}. A look at it:");
    println!("  grep -o '\"reason\":\"[a-z_]*\"' {log} | sort | uniq -c");
    println!("To try next:");
    println!("  make up     the same, left running for curl, and for a policy of your own");
    println!("  make down   stop it");
    verdict
}

fn show_approvals(table: &demo::Table, log: &Path) -> ExitCode {
    let verdict = count(table);
    let log = log.display();
    println!(
        "The decision log, one JSON object a line, is {log}. Why each request became what it did:"
    );
    println!("  grep -o '\"rule\":\"[a-z-]*\",\"message\":\"[^\"]*\"' {log}");
    verdict
}

fn count(table: &demo::Table) -> ExitCode {
    let demo::Table { rows, .. } = table;
    let unexpected = rows.iter().filter(|row| !row.as_promised).count();
    println!("{table}\n\n{} rows, {unexpected} other than promised\n", rows.len());
    if table.is_as_promised() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
