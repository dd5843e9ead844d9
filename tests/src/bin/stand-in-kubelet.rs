//! Runs the stand-in kubelet until it is told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use gatelet_tests::echo;
use gatelet_tests::kubelet::{Options, StandInKubelet};
use gatelet_tests::tls::{self, Identity};
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for a kubelet: real TLS, real processes, a record of every request.
///
/// It prints the address it listens on, and stops at SIGINT and SIGTERM.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 lets the system pick.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The serving certificate (PEM).
    #[arg(long)]
    tls_cert_file: PathBuf,
    /// Its private key (PEM).
    #[arg(long)]
    tls_private_key_file: PathBuf,
    /// The CA of the clients (PEM).
    #[arg(long)]
    client_ca_file: PathBuf,
    /// Where commands run. This is no sandbox: they are processes of this user on this machine.
    #[arg(long)]
    directory: PathBuf,
    /// A port of the pod and the port on 127.0.0.1 it leads to; repeatable.
    #[arg(long = "forward", value_name = "PORT:LOCAL", value_parser = forward)]
    forwards: Vec<(u16, u16)>,
    /// A port of the pod with a server that returns what it gets; repeatable.
    #[arg(long = "echo", value_name = "PORT")]
    echoes: Vec<u16>,
    /// Adds a line to the log every so many milliseconds.
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    log_every: Option<u64>,
    /// Adds this line to the log whenever somebody has begun to follow it.
    #[arg(long, value_name = "LINE")]
    log_when_followed: Option<String>,
    /// Writes every request to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stand-in-kubelet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let kubelet = StandInKubelet::start(options(arguments).await?)?;
    println!("{}", kubelet.address());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn options(arguments: Arguments) -> anyhow::Result<Options> {
    let serving = Identity::read(&arguments.tls_cert_file, &arguments.tls_private_key_file)?;
    let client_ca = tls::read(&arguments.client_ca_file)?;
    let mut ports = BTreeMap::from_iter(arguments.forwards);
    for port in arguments.echoes {
        ports.insert(port, echo::start().await?);
    }
    Ok(Options {
        listen: arguments.listen,
        ports,
        log_every: arguments.log_every.map(Duration::from_millis),
        log_when_followed: arguments.log_when_followed,
        record: arguments.record,
        ..Options::new(serving, client_ca, arguments.directory)
    })
}

fn forward(argument: &str) -> anyhow::Result<(u16, u16)> {
    let (port, local) = argument.split_once(':').context("expected PORT:LOCAL")?;
    Ok((port.parse()?, local.parse()?))
}
