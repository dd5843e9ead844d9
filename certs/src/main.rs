//! `gatelet-certs`: creates, renews and lists the certificates of a cluster with a gate.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::ensure;
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

    /// Issue one certificate from a CA that exists: `tls.crt`, `tls.key` and `ca.crt` in a folder
    Issue(Certificate),

    /// Put a fresh pair in the place of one of the same subject
    ///
    /// `tls.crt`, `tls.key` and `ca.crt` change in one move, which Envoy notices.
    Renew(Certificate),

    /// Print the table of all certificates: who signs, which files, which flags want them
    List,
}

/// Which certificate, by whom, and where.
#[derive(clap::Args)]
struct Certificate {
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
        Command::Issue(certificate) => {
            let Certificate { out, .. } = &certificate;
            // A link counts, wherever it leads.
            ensure!(
                out.join("tls.key").symlink_metadata().is_err(),
                "{} has a certificate already; `renew` puts a fresh one in its place",
                out.display()
            );
            certificate.publish(&mut stdout)?;
        }
        Command::Renew(certificate) => certificate.publish(&mut stdout)?,
        Command::List => write!(stdout, "{}", table())?,
    }
    Ok(())
}

impl Certificate {
    fn publish(&self, stdout: &mut impl Write) -> anyhow::Result<()> {
        let Self { persona, from, out, options } = self;
        publish(out, &issue_from(from, *persona, options, SystemTime::now())?)?;
        Ok(writeln!(stdout, "{}", Files::Watched(&out.to_string_lossy()))?)
    }
}
