// SPDX-License-Identifier: MIT OR Apache-2.0

//! Directories with the files of a package, built and laid out as they are installed.

use crate::{
    artifacts::{c_library::Install, cross::AGENT, object::object},
    cache::Store,
    command::package::{DKMS, PROGRAM, VERSION},
    run::{Log, machine},
};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
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
        let stage = self.empty(DKMS)?;
        self.lay_out(DKMS, version, &self.store.ensure(&object())?.file(), &stage)?;
        Ok(stage)
    }

    /// Makes the source from which packages of the module are built: a directory of that name.
    pub(crate) fn module_source(&self, name: &str, version: &str) -> Result<PathBuf> {
        let stage = self.empty("papr-unplug-module")?;
        self.lay_out("papr-unplug-module", version, &self.store.ensure(&object())?.file(), &stage.join(name))?;
        Ok(stage)
    }

    /// Makes the files of the agent's package.
    pub(crate) fn agent(&self) -> Result<PathBuf> {
        let stage = self.empty(AGENT.file)?;
        self.lay_out(AGENT.file, VERSION, &self.store.ensure(&AGENT.recipe())?.file(), &stage)?;
        Ok(stage)
    }

    /// Makes the files of the program's package.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let target = self.checkout().join("target/install");
        let mut cargo = machine::cargo(self.checkout());
        cargo.args(["build", "--locked", "--package", "papr-unplug-cli", "--profile", "dist", "--target-dir"]);
        self.log.run("building the program", cargo.arg(&target))?;
        let stage = self.empty(PROGRAM)?;
        self.lay_out(PROGRAM, VERSION, &target.join("dist").join(PROGRAM), &stage)?;
        Ok(stage)
    }

    /// Adds the files of the C library to a stage, its libraries in `/usr/libdir`.
    pub(crate) fn library(&self, libdir: &Path, stage: &Path) -> Result<()> {
        let (libdir, destdir) = (libdir.to_path_buf(), Some(stage.to_path_buf()));
        Install { prefix: "/usr".into(), libdir, destdir, is_static: false }.run(self.checkout(), &self.log, None)
    }

    /// Lays out files, one of which was `built`.
    pub(crate) fn lay_out(&self, what: &str, version: &str, built: &Path, stage: &Path) -> Result<()> {
        self.log.run(&format!("laying out {what}"), &mut layout(self.checkout(), what, version, built, stage))
    }
}

/// Returns the command that lays out files, one of which was `built`.
pub(super) fn layout(checkout: &Path, what: &str, version: &str, built: &Path, stage: &Path) -> Command {
    let mut command = Command::new(checkout.join("packaging/lay-out"));
    command.args([what, version]).arg(built).arg(stage);
    command
}

/// Writes a file, and makes its directories.
pub(crate) fn put(to: &Path, text: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let dir = to.parent().context("a file without a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(Into::into)
}
