//! The shipped sidecar in a namespace: its rules as the init container loads them, and its Envoy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::namespace::{Namespace, run};
use super::svid::Svid;
use crate::envoy::{Admin, Envoy, binary, project};
use crate::module::Module;

/// The shipped script `rules`, in one namespace with one mesh.conf.
#[derive(Debug)]
pub struct Rules<'a> {
    namespace: &'a Namespace,
    mesh: PathBuf,
    /// Has the mesh.conf.
    _folder: TempDir,
}

impl<'a> Rules<'a> {
    /// Writes the mesh.conf; nothing is loaded yet.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(namespace: &'a Namespace, mesh: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("mesh.conf");
        fs::write(&file, mesh)?;
        Ok(Self { namespace, mesh: file, _folder: folder })
    }

    /// Loads them.
    ///
    /// # Errors
    /// What the script says.
    pub fn up(&self) -> anyhow::Result<String> {
        run(self.command("up").arg("--mesh").arg(&self.mesh))
    }

    /// Asks whether everything is loaded.
    ///
    /// # Errors
    /// What the script says is missing.
    pub fn check(&self) -> anyhow::Result<String> {
        run(self.command("check").arg("--mesh").arg(&self.mesh))
    }

    /// Removes them.
    ///
    /// # Errors
    /// What the script says.
    pub fn down(&self) -> anyhow::Result<String> {
        run(&mut self.command("down"))
    }

    /// `rules up`, for a test that runs it in a way of its own.
    pub fn command(&self, what: &str) -> Command {
        let mut command = confined(self.namespace, "+net_admin");
        command.arg(shipped("rules")).arg(what);
        command
    }
}

/// A pod's sidecar: rules loaded, Envoy serving. Dropping it ends Envoy and leaves the rules.
#[derive(Debug)]
pub struct Sidecar {
    envoy: Envoy,
    /// Last: Envoy is gone before its folder is.
    folder: TempDir,
}

impl Sidecar {
    /// Loads the rules and starts Envoy, by the shipped scripts.
    ///
    /// # Errors
    /// What one of them says, or Envoy.
    pub async fn start(namespace: &Namespace, mesh: &str, svid: &Svid) -> anyhow::Result<Self> {
        Self::deciding(namespace, mesh, svid, None).await
    }

    /// The same with a policy for its `http` ports, as `gatelet render` makes it.
    ///
    /// # Errors
    /// As [`Sidecar::start`].
    pub async fn deciding(
        namespace: &Namespace,
        mesh: &str,
        svid: &Svid,
        policy: Option<&str>,
    ) -> anyhow::Result<Self> {
        Rules::new(namespace, mesh)?.up()?;
        let folder = tempfile::Builder::new().prefix("gatelet-sidecar-").tempdir()?;
        // As an emptyDir is.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777))?;
        svid.project(&folder.path().join("certs"))?;
        // Envoy's user may not get to where this project is.
        fs::create_dir(folder.path().join("sds"))?;
        for secret in ["identity.yaml", "trust.yaml"] {
            fs::copy(shipped("sds").join(secret), folder.path().join("sds").join(secret))?;
        }
        place(&binary()?, &folder.path().join("envoy"))?;
        fs::write(folder.path().join("mesh.conf"), mesh)?;
        if let Some(policy) = policy {
            place(&Module::Shipped.path()?, &folder.path().join("gatelet.wasm"))?;
            fs::create_dir(folder.path().join("policy"))?;
            fs::write(folder.path().join("policy/gatelet.json"), policy)?;
        }
        let envoy = Envoy::start(command(namespace), folder.path()).await?;
        Ok(Self { envoy, folder })
    }

    /// Envoy's admin interface.
    pub fn admin(&self) -> &Admin {
        self.envoy.admin()
    }

    /// Envoy itself.
    pub fn envoy(&mut self) -> &mut Envoy {
        &mut self.envoy
    }

    /// The folder with its certificates.
    pub fn certificates(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// Kills Envoy, as a crash does, and keeps its folder for [`Stopped::restart`].
    pub fn crash(self) -> Stopped {
        self.envoy.stop();
        Stopped { folder: self.folder }
    }
}

/// A sidecar whose Envoy is down.
#[derive(Debug)]
pub struct Stopped {
    folder: TempDir,
}

impl Stopped {
    /// Starts Envoy again; the rules are where they were.
    ///
    /// # Errors
    /// As [`Sidecar::start`].
    pub async fn restart(self, namespace: &Namespace) -> anyhow::Result<Sidecar> {
        let envoy = Envoy::start(command(namespace), self.folder.path()).await?;
        Ok(Sidecar { envoy, folder: self.folder })
    }
}

/// A mesh.conf of these lines.
pub fn mesh(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The shipped start script, which becomes Envoy.
fn command(namespace: &Namespace) -> Command {
    let mut command = confined(namespace, "+net_raw,+setuid,+setgid,+setpcap");
    command.arg(shipped("start")).args(["--mesh", "mesh.conf"]).env("ENVOY_BIN", "./envoy");
    command
}

/// Root with no more capabilities than the shipped pod gives the container.
fn confined(namespace: &Namespace, capabilities: &str) -> Command {
    let mut command = namespace.command("setpriv");
    command.arg("--no-new-privs");
    command.arg(format!("--bounding-set=-all,{capabilities}"));
    command.arg(format!("--inh-caps=-all,{capabilities}"));
    command
}

/// Has a file in another place, without a copy where that is possible.
fn place(file: &Path, at: &Path) -> anyhow::Result<()> {
    let file = file.canonicalize()?;
    if fs::hard_link(&file, at).is_err() {
        fs::copy(&file, at)?;
    }
    Ok(())
}

fn shipped(name: &str) -> PathBuf {
    Path::new(project()).join("envoy/sidecar").join(name)
}
