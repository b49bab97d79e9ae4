// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask package`: makes packages of the module, the programs and the library, and tries them.
//!
//! What a package holds is laid out the same for either format, in a stage:
//!
//! ```text
//! contents ──► stages ──┬──► debs ──► trial/dpkg
//!                       └──► rpms ──► trial/rpm
//! ```

mod contents;
mod deb;
mod debs;
mod rpm;
mod rpms;
mod stages;
mod trial;

use crate::{
    cache::Store,
    command::package::{rpm::Rpm, stages::Stages, trial::Packages},
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A version that is higher than all of ours.
const HIGHER: &str = "99";

/// The format of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Deb,
    Rpm,
}

/// The files of packages, by where these are installed.
struct Made {
    /// Those of the module for DKMS.
    guest: Vec<PathBuf>,
    /// That of the agent.
    agent: Vec<PathBuf>,
    host: Vec<PathBuf>,
}

impl Made {
    fn all(&self) -> impl Iterator<Item = &Path> {
        self.guest.iter().chain(&self.agent).chain(&self.host).map(PathBuf::as_path)
    }
}

/// Makes all packages, checks RPMs with rpmlint, and prints their paths.
pub(crate) fn run(store: &Store, format: Format) -> Result<()> {
    let mut stages = Stages::new(store, store.settings.checkout.join("target/packages"))?;
    let made = match format {
        Format::Deb => debs::all(&mut stages)?,
        Format::Rpm => {
            let rpm = Rpm::new(&stages)?;
            let made = rpms::all(&mut stages, &rpm)?;
            print!("{}", rpms::check(&stages, &rpm, &made)?);
            made
        }
    };
    for file in made.all() {
        println!("{}", file.display());
    }
    Ok(())
}

/// Makes packages, tries them, prints the transcript, and writes it into `target/packages`.
pub(crate) fn try_them(store: &Store, format: Format) -> Result<()> {
    let target = store.settings.checkout.join("target");
    let (into, dir) = (target.join("packages"), target.join("trial/packages"));
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let (mut stages, mut more) = (Stages::new(store, into.clone())?, Stages::new(store, dir.clone())?);
    let (made, higher, name) = match format {
        Format::Deb => (debs::all(&mut stages)?, vec![debs::dkms(&mut more, HIGHER)?], "trial.txt"),
        Format::Rpm => {
            let rpm = Rpm::new(&stages)?;
            rpms::sources(&mut more, &dir.join("rpm"))?;
            (rpms::all(&mut stages, &rpm)?, rpms::dkms(&mut more, &rpm, HIGHER)?, "trial-rpm.txt")
        }
    };
    for file in made.all() {
        let to = dir.join(file.file_name().unwrap_or_default());
        fs::copy(file, to).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    let transcript = trial::run(store, &stages.log, format, &Packages { dir, made, higher })?;
    let file = into.join(name);
    fs::write(&file, &transcript).with_context(|| format!("cannot write {}", file.display()))?;
    print!("{transcript}");
    println!("\nall packages could be installed, upgraded and removed: {}", file.display());
    Ok(())
}
