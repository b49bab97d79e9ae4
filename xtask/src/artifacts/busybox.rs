// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's only program.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::linux_source::only_deb;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::apt::Apt;
use crate::run::step::Log;
use crate::settings::Settings;

const SUITE: &str = "forky";
const PACKAGE: &str = "busybox-static";
const ARCH: &str = "ppc64el";

/// Debian's busybox for the guest, which needs no library.
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

    fn needs(&self) -> u64 {
        150
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        host::require_tools(&store.progress)?;
        let mut log = Log::begin(store, "busybox")?;
        let work = dir.join("work");
        let apt = Apt::new(store, &mut log, work.join("apt"), &[(SUITE, ARCH)])?;
        apt.fetch_only(store, &mut log, &[format!("{PACKAGE}:{ARCH}")], &work)?;
        let deb = only_deb(&work, PACKAGE)?;
        let tree = work.join("tree");
        let mut unpack = Command::new("dpkg-deb");
        log.run(store, "unpacking busybox", unpack.arg("-x").arg(work.join(&deb)).arg(&tree))?;
        let program =
            ["usr/bin/busybox", "bin/busybox"].map(|path| tree.join(path)).into_iter().find(|path| path.exists());
        fs::rename(program.context("the busybox package has no busybox in it")?, dir.join(Self::PROGRAM))?;
        fs::remove_dir_all(&work)?;
        let mut made = Made { files: vec![Self::PROGRAM.into()], ..Made::default() };
        made.fact(PACKAGE, deb);
        Ok(made)
    }
}
