// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask package`: makes Debian packages of the module, the programs and the library, and tries them.
//!
//! What a package holds is laid out in a stage:
//!
//! ```text
//! contents ──► stages ──► debs ──► trial/dpkg
//! ```

mod contents;
mod deb;
mod debs;
mod stages;
mod trial;

use crate::{
    cache::store::Store,
    command::package::{stages::Stages, trial::Packages},
};
use anyhow::{Context, Result};
use std::{fs, path::Path};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A version that is higher than all of ours.
const HIGHER: &str = "99";

/// Makes all packages, and prints their paths.
pub(crate) fn run(store: &Store) -> Result<()> {
    let mut stages = Stages::new(store, store.settings.checkout.join("target/packages"))?;
    let mut made = debs::tried(&mut stages)?;
    made.push(debs::agent(&mut stages)?);
    for file in made {
        println!("{}", file.display());
    }
    Ok(())
}

/// Makes packages, tries them, prints the transcript, and writes it to `target/packages/trial.txt`.
pub(crate) fn try_them(store: &Store) -> Result<()> {
    let dir = store.settings.checkout.join("target/trial/packages");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let mut stages = Stages::new(store, store.settings.checkout.join("target/packages"))?;
    let mut higher = Stages::new(store, dir.clone())?;
    let mut made = debs::tried(&mut stages)?.into_iter();
    let first = made.next().context("no packages")?;
    let packages = Packages {
        guest: vec![copy_into(&first, &dir)?],
        higher: vec![name(&debs::dkms(&mut higher, HIGHER)?)],
        host: made.map(|file| copy_into(&file, &dir)).collect::<Result<_>>()?,
        dir,
    };
    let transcript = trial::run(store, &mut stages.log, &packages)?;
    let file = store.settings.checkout.join("target/packages/trial.txt");
    fs::write(&file, &transcript).with_context(|| format!("cannot write {}", file.display()))?;
    print!("{transcript}");
    println!("\nall packages could be installed, upgraded and removed: {}", file.display());
    Ok(())
}

/// Copies a package into a directory, and returns its name.
fn copy_into(file: &Path, to: &Path) -> Result<String> {
    let name = name(file);
    fs::copy(file, to.join(&name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(name)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
