// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask package`: makes packages of the module, the programs and the library, and tries them.
//!
//! `packaging/lay-out` says what a package holds; it is the same for either format, in a stage:
//!
//! ```text
//! stages ──┬──► debs ──┬──► trial
//!          └──► rpms ──┘
//! ```

mod debs;
mod rpm;
mod rpms;
mod stages;
#[cfg(test)]
mod tests;
mod trial;

use crate::{
    cache::Store,
    command::package::{rpm::Rpm, stages::Stages},
};
use anyhow::{Context, Result};
use std::fs;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A version that is higher than all of ours.
const HIGHER: &str = "99";

/// The package of the module for DKMS.
const DKMS: &str = "papr-unplug-dkms";

/// The package of the program for hosts, and the program.
const PROGRAM: &str = "papr-unplug";

/// The format of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Deb,
    Rpm,
}

/// Makes all packages, checks RPMs with rpmlint, and prints their paths.
pub(crate) fn run(store: &Store, format: Format) -> Result<()> {
    let stages = Stages::new(store, store.settings.checkout.join("target/packages"))?;
    let made = match format {
        Format::Deb => debs::all(&stages)?,
        Format::Rpm => {
            let rpm = Rpm::new(&stages)?;
            let made = rpms::all(&stages, &rpm)?;
            print!("{}", rpms::check(&stages, &rpm, &made)?);
            made
        }
    };
    for file in made {
        println!("{}", file.display());
    }
    Ok(())
}

/// Makes packages, tries them, and prints the transcript.
pub(crate) fn try_them(store: &Store, format: Format) -> Result<()> {
    let target = store.settings.checkout.join("target");
    let (into, dir) = (target.join("packages"), target.join("trial/packages"));
    let _ = fs::remove_dir_all(&dir);
    let (stages, more) = (Stages::new(store, into.clone())?, Stages::new(store, dir.clone())?);
    let made = match format {
        Format::Deb => {
            debs::dkms(&more, HIGHER)?;
            debs::all(&stages)?
        }
        Format::Rpm => {
            let rpm = Rpm::new(&stages)?;
            rpms::sources(&more, &dir.join("rpm"))?;
            rpms::dkms(&more, &rpm, HIGHER)?;
            rpms::all(&stages, &rpm)?
        }
    };
    for file in made {
        let to = dir.join(file.file_name().unwrap_or_default());
        fs::copy(&file, to).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    trial::run(store, format, &dir, &into)
}
