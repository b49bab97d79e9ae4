// SPDX-License-Identifier: MIT OR Apache-2.0
//! `papr_fault.ko`, with which tests bring about in a guest what kernel and hypervisor do not do by themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::build::Build;
use crate::artifacts::flavour::Flavour;
use crate::artifacts::kernel::{Kernel, MAKE};
use crate::artifacts::linux_tree::LinuxTree;
use crate::artifacts::module::OwnTreeModule;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::sandbox::{BUILD, WORK};
use crate::run::step::Log;
use crate::settings::Settings;

/// The module, for one of our kernels.
#[derive(Debug)]
pub(crate) struct Fault(Kernel);

/// The module, for a kernel tree of the user's.
#[derive(Debug)]
pub(crate) struct OwnTreeFault(OwnTreeModule);

/// The module's file in either artifact.
pub(crate) const FILE: &str = "papr_fault.ko";

const SOURCES: [&str; 2] = ["Kbuild", "papr_fault.c"];

impl Fault {
    /// `None` where the kernel has no probes, without which nothing can be brought about.
    pub(crate) fn new(flavour: Flavour) -> Option<Self> {
        (flavour != Flavour::Bare).then_some(Self(Kernel(flavour)))
    }
}

impl OwnTreeFault {
    /// `None` also where the kernel is older than what the module is written for, which one with `CONFIG_RUST` is not.
    pub(crate) fn new(tree: PathBuf, flavour: Flavour) -> Option<Self> {
        let module = OwnTreeModule { tree };
        (flavour != Flavour::Bare && module.build() == Build::KernelCrate).then_some(Self(module))
    }
}

impl Recipe for Fault {
    fn kind(&self) -> &'static str {
        "fault"
    }

    fn title(&self) -> String {
        format!("faults for tests ({})", self.0.0.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root, &LinuxTree, &self.0]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        with_sources(Inputs::default().text("make", MAKE.join(" ")), settings)
    }

    fn needs(&self) -> u64 {
        10
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, source, kernel] = parts else { unreachable!("three parts are declared") };
        let mut log = Log::begin(store, &format!("fault-{}", self.0.0.name()))?;
        let stage = stage(&store.settings, dir)?;
        let sandbox = Kernel::sandbox(root, source, kernel).bind(&stage, WORK);
        let mut make = sandbox.command(MAKE);
        make.args(["-C", BUILD, &format!("M={WORK}"), &format!("-j{}", host::jobs()), "modules"]);
        log.run(store, "building papr_fault.ko", &mut make)?;
        take(&stage, dir)
    }
}

impl Recipe for OwnTreeFault {
    fn kind(&self) -> &'static str {
        "own-fault"
    }

    fn title(&self) -> String {
        format!("faults for tests (for {})", self.0.tree.display())
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        with_sources(self.0.tree_inputs()?, settings)
    }

    fn needs(&self) -> u64 {
        10
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        let mut log = Log::begin(store, "own-fault")?;
        let stage = stage(&store.settings, dir)?;
        let mut make: Command = self.0.make_command(&stage)?;
        log.run(store, "building papr_fault.ko", make.arg("modules"))?;
        take(&stage, dir)
    }
}

fn source_dir(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/fault")
}

fn with_sources(mut inputs: Inputs, settings: &Settings) -> Result<Inputs> {
    for name in SOURCES {
        inputs = inputs.file(name, &source_dir(settings).join(name))?;
    }
    Ok(inputs)
}

fn stage(settings: &Settings, dir: &Path) -> Result<PathBuf> {
    let stage = dir.join("build");
    fs::create_dir_all(&stage)?;
    for name in SOURCES {
        let from = source_dir(settings).join(name);
        fs::copy(&from, stage.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(stage)
}

fn take(stage: &Path, dir: &Path) -> Result<Made> {
    fs::rename(stage.join(FILE), dir.join(FILE)).with_context(|| format!("the build made no {FILE}"))?;
    fs::remove_dir_all(stage)?;
    Ok(Made { files: vec![FILE.into()], ..Made::default() })
}
