//! The modules that `make` builds.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// A module that Envoy loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The filter.
    Shipped,
    /// The filter with the feature `fault-injection`: it traps on demand.
    Faulty,
    /// The approver.
    Approver,
}

impl Module {
    /// Where it is: beside [`Module::Shipped`], which `GATELET_WASM` names, or where `make` builds it.
    ///
    /// # Errors
    /// When it isn't built.
    pub fn path(self) -> anyhow::Result<PathBuf> {
        let shipped = match std::env::var_os("GATELET_WASM") {
            Some(module) => module.into(),
            // Beside the folder of the profile, whose deps/ has this program.
            None => std::env::current_exe()?
                .ancestors()
                .map(|folder| folder.join("gatelet.wasm"))
                .find(|module| module.exists())
                .context("no gatelet.wasm: run `make wasm`")?,
        };
        let (module, made_by) = match self {
            Self::Shipped => (shipped, "make wasm"),
            Self::Faulty => {
                (shipped.with_file_name("gatelet-faulty.wasm"), "make target/gatelet-faulty.wasm")
            }
            Self::Approver => (shipped.with_file_name("gatelet_approver.wasm"), "make wasm"),
        };
        ensure!(module.exists(), "no module at {}: run `{made_by}`", module.display());
        Ok(module)
    }
}
