//! Writes the seeds of every target into a folder, for libFuzzer.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;
use gatelet_fuzz::seeds;

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).context("usage: seeds FOLDER")?);
    for (name, seeds) in seeds::all()? {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
