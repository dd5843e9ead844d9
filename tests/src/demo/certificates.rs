//! The certificates of the demo, in a folder for each service that needs some.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum as _;
use gatelet_certs::{Cluster, Persona, publish};

use super::script::CALLERS;
use crate::{
    gate::cluster,
    tls::{self, Identity},
};

/// Issues everything for a kubelet of profile owned, its gate and their callers, below `folder`:
///
/// ```text
/// gate/serving    gate/kubelet    kubelet/serving    callers/<persona>
/// ```
///
/// Where everything is already, it stays: whoever uses it may be running. Keys are readable for the group
/// of their folder: where each service has a user of its own, the group tells whose they are.
///
/// # Errors
/// When something can't be written.
pub fn certificates(folder: &Path) -> anyhow::Result<()> {
    let callers = Callers::new(&folder.join("callers"));
    let pairs = [
        ("gate/serving", Persona::GateServing),
        ("gate/kubelet", Persona::GateClientOwned),
        ("kubelet/serving", Persona::KubeletServingOwned),
    ]
    .map(|(name, persona)| (folder.join(name), persona));
    if callers.are_issued()? && pairs.iter().all(|(pair, _)| is_issued(pair)) {
        return Ok(());
    }
    let cluster = cluster()?;
    for (pair, persona) in pairs {
        publish(&pair, &cluster.issue(persona)?)?;
    }
    callers.issue(&cluster)?;
    share_keys(folder)
}

/// A folder with the pairs of all callers.
pub(super) struct Callers {
    folder: PathBuf,
}

impl Callers {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(super) fn issue(&self, cluster: &Cluster) -> anyhow::Result<()> {
        for (_, persona) in CALLERS {
            publish(&self.of(persona)?, &cluster.issue(persona)?)?;
        }
        Ok(())
    }

    fn are_issued(&self) -> anyhow::Result<bool> {
        for (_, persona) in CALLERS {
            if !is_issued(&self.of(persona)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn identity(&self, persona: Persona) -> anyhow::Result<Identity> {
        let pair = self.of(persona)?;
        Identity::read(&pair.join("tls.crt"), &pair.join("tls.key"))
    }

    /// What signed them all, and the gate's certificate as well.
    pub(super) fn cluster_ca(&self) -> anyhow::Result<Vec<u8>> {
        tls::read(&self.of(Persona::ApiserverKubeletClient)?.join("ca.crt"))
    }

    fn of(&self, persona: Persona) -> anyhow::Result<PathBuf> {
        let value = persona.to_possible_value().context("a persona without a name")?;
        Ok(self.folder.join(value.get_name()))
    }
}

fn is_issued(pair: &Path) -> bool {
    pair.join("tls.key").exists()
}

fn share_keys(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            share_keys(&path)?;
        } else if path.ends_with("tls.key") {
            fs::set_permissions(&path, Permissions::from_mode(0o640))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Metadata;

    use super::*;

    #[test]
    fn certificates_in_use_stay_until_one_is_missing() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("gate/serving/tls.key");
        certificates(folder.path())?;
        let first = fs::read(&key)?;
        certificates(folder.path())?;
        assert_eq!(fs::read(&key)?, first, "all are there");
        fs::remove_dir_all(folder.path().join("callers/prometheus"))?;
        certificates(folder.path())?;
        assert_ne!(fs::read(&key)?, first, "a caller's is of another CA");
        Ok(())
    }

    #[test]
    fn keys_are_for_the_group_of_their_folder() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        certificates(folder.path())?;
        for name in ["gate/kubelet", "kubelet/serving", "callers/scheduler"] {
            let mode = |file| {
                let mode = |found: Metadata| found.permissions().mode() & 0o777;
                fs::metadata(folder.path().join(name).join(file)).map(mode)
            };
            assert_eq!((mode("tls.key")?, mode("tls.crt")?), (0o640, 0o644), "{name}");
        }
        Ok(())
    }
}
