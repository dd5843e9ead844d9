//! `gatelet-certs`: creates, renews and lists the certificates of a cluster with a gate.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;

use gatelet_certs::{Ca, Cluster, Files, Options, Persona, issue_from, publish, table};

/// Every certificate of a cluster like kubeadm's, and of the gate in front of its kubelet.
///
/// Keys are readable by their owner only. Nothing that exists is overwritten; only `renew` puts a
/// fresh pair in the place of one that it or `create` made.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Create CAs and whatever they sign, laid out as kubeadm does
    Create {
        /// Folder to create; it must be empty or not exist yet
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only this CA and whatever it signs; may be repeated
        #[arg(long = "ca", value_name = "CA", default_values = ["cluster", "etcd", "front-proxy", "gate"])]
        cas: Vec<Ca>,
        #[command(flatten)]
        options: Options,
    },

    /// Issue one certificate from a CA that exists, the first time or again
    ///
    /// The folder gets `tls.crt`, `tls.key` and `ca.crt`. Where it holds an earlier pair of the same
    /// subject, all three change in one move, which Envoy notices.
    #[command(visible_alias = "renew")]
    Issue {
        /// Whom it is for; `list` has them all
        #[arg(value_name = "CERTIFICATE")]
        persona: Persona,
        /// Folder with the CA, laid out as by `create` or kubeadm
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Folder for the certificate
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        options: Options,
    },

    /// Print the table of all certificates: who signs, which files, which flags want them
    List,
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelet-certs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match command {
        Command::Create { out, cas, options } => {
            for files in Cluster::new(options, SystemTime::now())?.write(&out, &cas)? {
                writeln!(stdout, "{}", out.join(files).display())?;
            }
        }
        Command::Issue { persona, from, out, options } => {
            publish(&out, &issue_from(&from, persona, &options, SystemTime::now())?)?;
            writeln!(stdout, "{}", Files::Watched(&out.to_string_lossy()))?;
        }
        Command::List => write!(stdout, "{}", table())?,
    }
    Ok(())
}
