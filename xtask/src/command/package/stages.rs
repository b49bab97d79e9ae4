// SPDX-License-Identifier: MIT OR Apache-2.0

//! Directories with the files of a package, built and laid out as they are installed.

use crate::{
    artifacts::{
        c_library::install::{self, Install},
        cross::AGENT,
        object::object,
    },
    cache::Store,
    command::package::contents::{self, PROGRAM, lay_out},
    run::Log,
};
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Makes stages for packages in one directory.
pub(crate) struct Stages<'a> {
    pub(crate) store: &'a Store,
    pub(crate) log: Log,
    /// The directory of the packages.
    pub(crate) into: PathBuf,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(store: &'a Store, into: PathBuf) -> Result<Self> {
        fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
        Ok(Self { store, log: store.log("package")?, into })
    }

    pub(crate) fn checkout(&self) -> &'a Path {
        &self.store.settings.checkout
    }

    /// Makes an empty directory for the files of a package.
    pub(crate) fn empty(&self, name: &str) -> Result<PathBuf> {
        let stage = self.into.join("stage").join(name);
        if stage.exists() {
            fs::remove_dir_all(&stage)?;
        }
        fs::create_dir_all(&stage).with_context(|| format!("cannot make {}", stage.display()))?;
        Ok(stage)
    }

    /// Makes the files of the module's DKMS package.
    pub(crate) fn dkms(&self, version: &str) -> Result<PathBuf> {
        let object = self.store.ensure(&object())?;
        let stage = self.empty("papr-unplug-dkms")?;
        lay_out(&contents::dkms(self.checkout(), &object.file(), version)?, &stage)?;
        Ok(stage)
    }

    /// Makes the source from which packages of the module are built: a directory of that name.
    pub(crate) fn module_source(&self, name: &str, version: &str) -> Result<PathBuf> {
        let object = self.store.ensure(&object())?;
        let stage = self.empty("papr-unplug-module")?;
        let mut files = contents::module_sources(self.checkout(), &object.file(), version)?;
        files.push(contents::modules_load(self.checkout(), "modules-load.conf"));
        files.extend(contents::licences(self.checkout(), &["Apache-2.0", "GPL-2.0-only", "MIT"]));
        lay_out(&files, &stage.join(name))?;
        Ok(stage)
    }

    /// Makes the files of the agent's package.
    pub(crate) fn agent(&self) -> Result<PathBuf> {
        let program = self.store.ensure(&AGENT.recipe())?;
        let stage = self.empty(AGENT.program)?;
        lay_out(&contents::agent(self.checkout(), &program.file()), &stage)?;
        Ok(stage)
    }

    /// Makes the files of the program's package.
    pub(crate) fn program(&mut self) -> Result<PathBuf> {
        let target = self.checkout().join("target/install");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--locked", "--package", "papr-unplug-cli", "--profile", "dist", "--target-dir"]);
        self.log.run("building the program", cargo.arg(&target).current_dir(self.store.settings.checkout.clone()))?;
        let stage = self.empty(PROGRAM)?;
        lay_out(&contents::program(self.checkout(), &target.join("dist").join(PROGRAM))?, &stage)?;
        Ok(stage)
    }

    /// Adds the files of the C library to a stage, its libraries in `/usr/libdir`.
    pub(crate) fn library(&mut self, libdir: &Path, stage: &Path) -> Result<()> {
        let (libdir, destdir) = (libdir.to_path_buf(), Some(stage.to_path_buf()));
        let checkout = self.store.settings.checkout.clone();
        install::run(&checkout, &self.log, &Install { prefix: "/usr".into(), libdir, destdir, is_static: false })
    }
}
