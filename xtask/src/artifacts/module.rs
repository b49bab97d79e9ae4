// SPDX-License-Identifier: MIT OR Apache-2.0
//! `papr_unplug.ko`, built out of tree from this checkout.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::build::Build;
use crate::artifacts::flavour::Flavour;
use crate::artifacts::kernel::{Kernel, MAKE};
use crate::artifacts::linux_tree::LinuxTree;
use crate::artifacts::module_sources::{stage_sources, with_sources};
use crate::artifacts::object::Object;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::sandbox::{BUILD, WORK};
use crate::run::step::Log;
use crate::settings::{KERNEL_TREE, Settings};

/// The module, for one of our kernels.
#[derive(Debug)]
pub(crate) struct Module {
    kernel: Kernel,
    build: Build,
}

/// The module, for a kernel tree of the user's, built with the user's tools.
#[derive(Debug)]
pub(crate) struct OwnTreeModule {
    pub(crate) tree: PathBuf,
}

impl OwnTreeModule {
    /// What Kbuild chooses there.
    pub(crate) fn build(&self) -> Build {
        let config = fs::read_to_string(self.tree.join(".config")).unwrap_or_default();
        if config.lines().any(|line| line == "CONFIG_RUST=y") { Build::KernelCrate } else { Build::Standalone }
    }
}

/// The module's file in either artifact.
pub(crate) const FILE: &str = "papr_unplug.ko";

impl Module {
    pub(crate) fn new(flavour: Flavour) -> Self {
        Self { kernel: Kernel(flavour), build: flavour.build() }
    }

    /// With this face, whatever the kernel.
    pub(crate) fn standalone(flavour: Flavour) -> Self {
        Self { build: Build::Standalone, ..Self::new(flavour) }
    }
}

impl Recipe for Module {
    fn kind(&self) -> &'static str {
        "module"
    }

    fn title(&self) -> String {
        format!("module ({}, {})", self.kernel.0.name(), self.build.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        match self.build {
            Build::KernelCrate => vec![&Root, &LinuxTree, &self.kernel],
            Build::Standalone => vec![&Root, &LinuxTree, &self.kernel, &Object],
        }
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        with_sources(Inputs::default().text("make", MAKE.join(" ")).text("face", self.build.name()), &settings.checkout)
    }

    fn needs(&self) -> u64 {
        50
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, source, kernel, object @ ..] = parts else { unreachable!("three parts or more are declared") };
        let mut log = Log::begin(store, &format!("module-{}-{}", self.kernel.0.name(), self.build.name()))?;
        let stage = dir.join("build");
        stage_sources(&store.settings.checkout, &stage)?;
        for object in object {
            Object::stage(object, &stage)?;
        }
        let sandbox = Kernel::sandbox(root, source, kernel).bind(&stage, WORK);
        let mut make = sandbox.command(MAKE);
        make.args(["-C", BUILD, &format!("M={WORK}"), &format!("PAPR_UNPLUG_FACE={}", self.build.name())]);
        make.args([&format!("-j{}", host::jobs()), "modules"]);
        log.run(store, "building papr_unplug.ko", &mut make)?;
        let built = format!("{WORK}/{FILE}");
        log.run(store, "stripping papr_unplug.ko", &mut sandbox.command(["llvm-strip", "--strip-debug", &built]))?;
        take(&stage, dir)
    }
}

impl Recipe for OwnTreeModule {
    fn kind(&self) -> &'static str {
        "own-module"
    }

    fn title(&self) -> String {
        format!("module (for {})", self.tree.display())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        match self.build() {
            Build::KernelCrate => Vec::new(),
            Build::Standalone => vec![&Object],
        }
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        with_sources(self.tree_inputs()?, &settings.checkout)
    }

    fn needs(&self) -> u64 {
        50
    }

    fn make(&self, store: &Store, object: &[Artifact], dir: &Path) -> Result<Made> {
        let mut log = Log::begin(store, "own-module")?;
        let stage = dir.join("build");
        stage_sources(&store.settings.checkout, &stage)?;
        for object in object {
            Object::stage(object, &stage)?;
        }
        log.run(store, "building papr_unplug.ko", self.make_command(&stage)?.arg("modules"))?;
        take(&stage, dir)
    }
}

impl OwnTreeModule {
    /// What a module for this tree depends on, of the tree.
    pub(crate) fn tree_inputs(&self) -> Result<Inputs> {
        let mut inputs = Inputs::default().text("tree", self.tree.display().to_string());
        // Too large to read each time. It changes with every build, and the module's idea of the kernel may have, too.
        let vmlinux = self.tree.join("vmlinux");
        let found = vmlinux.metadata().with_context(|| format!("{KERNEL_TREE}: cannot read {}", vmlinux.display()))?;
        inputs = inputs.text("vmlinux", format!("{} bytes of {}.{}", found.len(), found.mtime(), found.mtime_nsec()));
        for name in [".config", "Module.symvers", "include/config/kernel.release"] {
            inputs = inputs.file(name, &self.tree.join(name)).with_context(|| {
                format!("{KERNEL_TREE} must name the build directory of a kernel, configured and built")
            })?;
        }
        Ok(inputs)
    }

    /// Make, for a module of which the sources stand in `stage`, with the user's tools.
    pub(crate) fn make_command(&self, stage: &Path) -> Result<Command> {
        let config = fs::read_to_string(self.tree.join(".config"))?;
        let mut make = Command::new("make");
        make.arg("-C").arg(&self.tree).arg(format!("M={}", stage.display())).arg("ARCH=powerpc");
        // Which LLVM it is to be, the user may have said in the environment.
        if config.contains("CONFIG_CC_IS_CLANG=y") && env::var_os("LLVM").is_none() {
            make.arg("LLVM=1");
        }
        Ok(make)
    }
}

/// Moves the module out of the build, and forgets the build.
pub(crate) fn take(stage: &Path, dir: &Path) -> Result<Made> {
    fs::rename(stage.join(FILE), dir.join(FILE)).with_context(|| format!("the build made no {FILE}"))?;
    fs::remove_dir_all(stage)?;
    Ok(Made { files: vec![FILE.into()], ..Made::default() })
}
