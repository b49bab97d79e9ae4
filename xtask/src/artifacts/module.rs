// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr_unplug.ko`, built out of tree from this checkout.

use crate::{
    artifacts::{
        build::Build,
        guest_kernel::GuestKernel,
        module_sources::{stage_sources, with_sources},
        object::Object,
    },
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    settings::Settings,
};
use anyhow::Result;
use std::path::Path;

/// The module's file in the artifact.
pub(crate) const FILE: &str = "papr_unplug.ko";

/// The module for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    kernel: GuestKernel,
    build: Build,
}

impl Module {
    /// The build that Kbuild chooses for this kernel.
    pub(crate) fn new(kernel: &GuestKernel) -> Self {
        Self { kernel: kernel.clone(), build: kernel.build() }
    }

    /// The standalone build, if Kbuild chooses the other one. It is made for our own kernels only.
    pub(crate) fn standalone(kernel: &GuestKernel) -> Option<Self> {
        let is_other = matches!(kernel, GuestKernel::Ours(_)) && kernel.build() != Build::Standalone;
        is_other.then(|| Self { kernel: kernel.clone(), build: Build::Standalone })
    }
}

impl Recipe for Module {
    fn kind(&self) -> &'static str {
        let is_chosen = self.build == self.kernel.build();
        if is_chosen { self.kernel.kind(["module", "debian-module", "own-module"]) } else { "standalone-module" }
    }

    fn title(&self) -> String {
        match self.kernel {
            GuestKernel::Ours(_) => format!("module ({}, {})", self.kernel.title(), self.build.name()),
            _ => format!("module ({})", self.kernel.title()),
        }
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        let mut parts = self.kernel.parts();
        if self.build == Build::Standalone {
            parts.push(Box::new(Object));
        }
        parts
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        with_sources(self.kernel.inputs()?.text("build", self.build.name()), &settings.checkout)
    }

    fn needs(&self) -> u64 {
        50
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(&format!("module-{}-{}", self.kernel.log_name(), self.build.name()))?;
        let stage = dir.join("build");
        stage_sources(&store.settings.checkout, &stage)?;
        if self.build == Build::Standalone {
            Object::stage(parts.of(&Object), &stage)?;
        }
        let build = self.build.make_argument();
        // The user's and Debian's kernels show that Kbuild chooses by itself.
        let arguments: &[&str] = if matches!(self.kernel, GuestKernel::Ours(_)) { &[&build] } else { &[] };
        self.kernel.build_module(&mut log, parts, dir, FILE, arguments)
    }
}
