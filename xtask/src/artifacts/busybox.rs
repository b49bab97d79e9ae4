// SPDX-License-Identifier: MIT OR Apache-2.0

//! Busybox, nearly the only program of guests.

use crate::{
    cache::{Inputs, Made, Parts, Recipe, Store},
    roots::{extract, only_deb},
    run::{Apt, machine},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{fs, path::Path};

const SUITE: &str = "forky";
const PACKAGE: &str = "busybox-static";
const ARCH: &str = "ppc64el";

/// Debian's busybox for ppc64el, linked statically.
#[derive(Debug)]
pub(crate) struct Busybox;

impl Busybox {
    /// The program in the artifact.
    pub(crate) const PROGRAM: &str = "busybox";
}

impl Recipe for Busybox {
    fn kind(&self) -> &'static str {
        "busybox"
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("suite", SUITE).text("package", PACKAGE).text("arch", ARCH))
    }

    fn make(&self, store: &Store, _: &Parts, dir: &Path) -> Result<Made> {
        machine::require_tools(&store.progress)?;
        let mut log = store.log("busybox")?;
        let work = dir.join("work");
        let apt = Apt::new(&store.settings, &mut log, work.join("apt"), &[(SUITE, ARCH)])?;
        apt.fetch_only(&mut log, &[format!("{PACKAGE}:{ARCH}")], &work)?;
        let deb = only_deb(&work, PACKAGE)?;
        let tree = work.join("tree");
        extract(&mut log, &work.join(&deb), &tree)?;
        let program =
            ["usr/bin/busybox", "bin/busybox"].map(|path| tree.join(path)).into_iter().find(|path| path.exists());
        fs::rename(program.context("the busybox package has no busybox in it")?, dir.join(Self::PROGRAM))?;
        fs::remove_dir_all(&work)?;
        let mut made = Made { files: vec![Self::PROGRAM.into()], ..Made::default() };
        made.fact(PACKAGE, deb);
        Ok(made)
    }
}
