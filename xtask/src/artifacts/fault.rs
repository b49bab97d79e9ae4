// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr_fault.ko`, by which tests cause faults in a guest that kernel and hypervisor do not cause by themselves.

use crate::{
    artifacts::{build::Build, flavour::Flavour, guest_kernel::GuestKernel},
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The module's file in the artifact.
pub(crate) const FILE: &str = "papr_fault.ko";

const SOURCES: [&str; 2] = ["Kbuild", "papr_fault.c"];

/// The module for one kernel.
#[derive(Debug, Clone)]
pub(crate) struct FaultModule(GuestKernel);

impl FaultModule {
    /// Returns `None` for kernels without probes, which the module stands on, and for kernels that are older than what
    /// it is written for. Those with `CONFIG_RUST` are not.
    pub(crate) fn new(kernel: &GuestKernel) -> Option<Self> {
        let is_recent = match kernel {
            GuestKernel::Ours(_) => true,
            GuestKernel::Debian(_) => false,
            GuestKernel::Own { .. } => kernel.build() == Build::KernelCrate,
        };
        (is_recent && kernel.flavour() != Flavour::Bare).then(|| Self(kernel.clone()))
    }
}

impl Recipe for FaultModule {
    fn kind(&self) -> &'static str {
        self.0.kind(["fault", "debian-fault", "own-fault"])
    }

    fn title(&self) -> String {
        format!("faults for tests ({})", self.0.title())
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        self.0.parts()
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        SOURCES.iter().try_fold(self.0.inputs()?, |inputs, name| inputs.file(*name, &source(settings, name)))
    }

    fn needs(&self) -> u64 {
        10
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(&format!("fault-{}", self.0.log_name()))?;
        let stage = dir.join("build");
        fs::create_dir(&stage)?;
        for name in SOURCES {
            let from = source(&store.settings, name);
            fs::copy(&from, stage.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        self.0.build_module(&mut log, parts, dir, FILE, &[])
    }
}

fn source(settings: &Settings, name: &str) -> PathBuf {
    settings.checkout.join("tests/guest/fault").join(name)
}
