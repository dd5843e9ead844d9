//! The folder in which a kubelet keeps what it serves: `/var/lib/kubelet/pki`.
//!
//! ```text
//! kubelet-server-current.pem ─▶ kubelet-server-2026-01-31-12-00-00.pem    certificate, then key
//! ```

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::Path;

use anyhow::Context as _;
use gatelet_certs::Pair;

/// The link that always leads to the newest.
pub const CURRENT: &str = "kubelet-server-current.pem";

/// Writes a pair as a kubelet does when its certificate was issued: one file, and a link that is moved.
///
/// # Errors
/// When it can't be written, or there is one of this `time` already.
pub fn store(folder: &Path, pair: &Pair, time: &str) -> anyhow::Result<()> {
    let name = format!("kubelet-server-{time}.pem");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(&name))
        .with_context(|| name.clone())?;
    write!(file, "{}{}", pair.certificate, pair.key)?;
    let updated = folder.join("kubelet-server-updated.pem");
    symlink(&name, &updated)?;
    Ok(fs::rename(updated, folder.join(CURRENT))?)
}
