//! `gatelet-certs`: creates, renews and lists the certificates of a cluster with a gate.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use clap::Parser;
use nix::unistd::Group;

use gatelet_certs::{Ca, Cluster, Files, Options, Pair, Persona, issue_from, publish_to, table};

/// Every certificate of a cluster like kubeadm's, and of the gate in front of its kubelet.
///
/// Keys are readable by their owner only, or by a group that is named. Nothing that exists is overwritten;
/// only `renew` and `import` put a fresh pair in the place of one of the same subject.
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

    /// Hand the gate a pair that somebody else rotates, such as the kubelet's own
    ///
    /// It is put into the folder as `renew` does it. gatelet-certificate.service runs this.
    Import {
        /// PEM with the certificate, its chain, and the key
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// PEM with the CA of those whom the pair is shown to
        #[arg(long, value_name = "FILE")]
        ca: PathBuf,
        #[command(flatten)]
        target: Target,
    },

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
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: Options,
}

/// Where a pair is put, and who reads it.
#[derive(clap::Args)]
struct Target {
    /// Folder for the certificate
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Group that may read the key as well [default: whoever could read the one before]
    #[arg(long, value_name = "NAME", value_parser = group)]
    group: Option<Group>,
}

fn group(name: &str) -> anyhow::Result<Group> {
    Group::from_name(name)?.with_context(|| format!("there is no group {name}"))
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
            let out = &certificate.target.out;
            // A link counts, wherever it leads.
            ensure!(
                out.join("tls.key").symlink_metadata().is_err(),
                "{} has a certificate already; `renew` puts a fresh one in its place",
                out.display()
            );
            certificate.publish(&mut stdout)?;
        }
        Command::Renew(certificate) => certificate.publish(&mut stdout)?,
        Command::Import { from, ca, target } => {
            target.publish(&Pair::read(&from, &ca)?, &mut stdout)?;
        }
        Command::List => write!(stdout, "{}", table())?,
    }
    Ok(())
}

impl Certificate {
    fn publish(&self, stdout: &mut impl Write) -> anyhow::Result<()> {
        let Self { persona, from, target, options } = self;
        target.publish(&issue_from(from, *persona, options, SystemTime::now())?, stdout)
    }
}

impl Target {
    fn publish(&self, pair: &Pair, stdout: &mut impl Write) -> anyhow::Result<()> {
        let Self { out, group } = self;
        publish_to(out, pair, group.as_ref())?;
        Ok(writeln!(stdout, "{}", Files::Watched(&out.to_string_lossy()))?)
    }
}
