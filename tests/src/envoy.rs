//! A real Envoy: started by the shipped script, gone with its guard.

mod admin;
mod decisions;
mod shipped;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use anyhow::{Context as _, bail};

pub use self::admin::Admin;
pub use self::decisions::{DecisionLog, is_about};
pub use self::shipped::Shipped;
use crate::deadline::eventually;

/// A running Envoy.
///
/// Dropping it kills it and prints what it logged, for the report of a failed test. [`Envoy::stop`]
/// is the quiet way.
#[derive(Debug)]
pub struct Envoy {
    process: Killed,
    admin: Admin,
    log: PathBuf,
}

impl Envoy {
    /// Runs `command`, which has to become an Envoy whose admin interface is `admin.sock` in
    /// `folder`, and waits until it serves.
    ///
    /// # Errors
    /// When it ends instead, or doesn't serve in time; the error has its log.
    pub async fn start(command: Command, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join("envoy.log");
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let is_named = command.get_envs().any(|(name, _)| name == "ENVOY_BIN");
        let mut command = ended_with_this_process(&command);
        command.current_dir(folder);
        if !is_named {
            command.env("ENVOY_BIN", binary()?);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Killed(command.spawn().with_context(|| format!("{command:?}"))?);
        let mut envoy = Self { process, admin: Admin::new(folder.join("admin.sock")), log };
        envoy.serving().await?;
        Ok(envoy)
    }

    /// Its admin interface.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// What it and its filters logged.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it hasn't in time.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        eventually("Envoy to end", async || Ok(self.process.0.try_wait()?)).await
    }

    /// Kills it, as the kernel does when memory is short.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        Ok(())
    }

    /// Kills it without printing its log.
    pub fn stop(mut self) {
        self.log = PathBuf::new();
    }

    async fn serving(&mut self) -> anyhow::Result<()> {
        eventually("Envoy to serve", async || {
            if let Some(status) = self.process.0.try_wait()? {
                let log = self.log()?;
                self.log = PathBuf::new();
                bail!("Envoy ended with {status}:\n{log}");
            }
            // Until it listens on the socket, there is no answer at all.
            Ok(self.admin.get("/ready").await.ok().filter(|state| state.trim() == "LIVE"))
        })
        .await?;
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if let Ok(log) = fs::read_to_string(&self.log) {
            eprintln!("--- Envoy's log\n{log}---");
        }
    }
}

/// The Envoy to use: `ENVOY_BIN`, or the one that `make tools` fetches.
///
/// # Errors
/// When it isn't there.
pub fn binary() -> anyhow::Result<PathBuf> {
    let binary = match std::env::var_os("ENVOY_BIN") {
        Some(binary) => binary.into(),
        None => project().join(".tools/bin/envoy"),
    };
    anyhow::ensure!(binary.exists(), "no Envoy at {}: run `make tools`", binary.display());
    Ok(binary)
}

/// The root of the project: where this was built, unless `GATELET_PROJECT` names another place.
pub fn project() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let built = || concat!(env!("CARGO_MANIFEST_DIR"), "/..").into();
        std::env::var_os("GATELET_PROJECT").map_or_else(built, PathBuf::from)
    });
    &ROOT
}

/// The same command, ended by the kernel when this process is: a killed one drops no guard.
fn ended_with_this_process(command: &Command) -> Command {
    let mut ended = Command::new("setpriv");
    ended.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    ended.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ended
}

/// A program in this folder that says to be Envoy of this version, and fails at everything else.
///
/// # Errors
/// When it can't be written.
pub fn of_version(version: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let program = folder.join("envoy");
    let script = format!("#!/bin/sh\n[ $# = 1 ] && echo 'envoy version: 0/{version}/Clean'\n");
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

/// A program in this folder that says to be Envoy of this version, and is another one, started with
/// these arguments as well.
///
/// # Errors
/// When it can't be written.
pub fn disguised(
    envoy: &Path,
    version: &str,
    arguments: &[&str],
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let program = folder.join("disguised");
    let envoy = envoy.display();
    let arguments: String = arguments.iter().map(|argument| format!(" '{argument}'")).collect();
    let script = format!(
        "#!/bin/sh\n\
         case $1 in\n\
         --version) echo 'envoy version: 0/{version}/Clean' ;;\n\
         --mode) exec '{envoy}' \"$@\" ;;\n\
         *) exec '{envoy}' \"$@\"{arguments} ;;\n\
         esac\n"
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

/// A child that can't outlive its guard.
#[derive(Debug)]
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}
