// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules that are built out of tree from this checkout.

use crate::{
    artifacts::{build::Build, flavour::Flavour, guest_kernel::GuestKernel, object::Object, sources::Sources},
    cache::{Inputs, Made, Parts, Recipe, Store},
    settings::Settings,
};
use anyhow::Result;
use std::path::Path;

/// A module for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    kernel: GuestKernel,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// `papr_unplug.ko`.
    Unplug(Build),
    /// `papr_fault.ko`, by which tests cause faults in a guest that kernel and hypervisor do not cause by themselves.
    Fault,
}

impl Module {
    /// `papr_unplug.ko` in the build that Kbuild chooses for this kernel.
    pub(crate) fn new(kernel: &GuestKernel) -> Self {
        Self { kernel: kernel.clone(), what: What::Unplug(kernel.build()) }
    }

    /// The standalone build, if Kbuild chooses the other one. It is made for our own kernels only.
    pub(crate) fn standalone(kernel: &GuestKernel) -> Option<Self> {
        let is_other = matches!(kernel, GuestKernel::Ours(_)) && kernel.build() != Build::Standalone;
        is_other.then(|| Self { kernel: kernel.clone(), what: What::Unplug(Build::Standalone) })
    }

    /// `papr_fault.ko`. There is none for kernels without probes, which it stands on, and for kernels that are older than
    /// what it is written for. Those with `CONFIG_RUST` are not.
    pub(crate) fn fault(kernel: &GuestKernel) -> Option<Self> {
        let is_recent = match kernel {
            GuestKernel::Ours(_) => true,
            GuestKernel::Debian(_) => false,
            GuestKernel::Own { .. } => kernel.build() == Build::KernelCrate,
        };
        let has_probes = kernel.flavour() != Flavour::Bare;
        (is_recent && has_probes).then(|| Self { kernel: kernel.clone(), what: What::Fault })
    }

    /// Returns the name of the file, in the artifact and in guests.
    pub(crate) fn file(&self) -> &'static str {
        match self.what {
            What::Unplug(_) => "papr_unplug.ko",
            What::Fault => "papr_fault.ko",
        }
    }

    fn sources(&self, checkout: &Path) -> Result<Sources> {
        match self.what {
            What::Unplug(_) => Sources::of_module(checkout),
            What::Fault => Ok(Sources::new(&checkout.join("tests/guest/fault"), &["Kbuild", "papr_fault.c"])),
        }
    }
}

impl Recipe for Module {
    fn kind(&self) -> &'static str {
        match self.what {
            What::Unplug(build) if build != self.kernel.build() => "standalone-module",
            What::Unplug(_) => self.kernel.kind(["module", "debian-module", "own-module"]),
            What::Fault => self.kernel.kind(["fault", "debian-fault", "own-fault"]),
        }
    }

    fn title(&self) -> String {
        match (self.what, &self.kernel) {
            (What::Unplug(build), GuestKernel::Ours(_)) => {
                format!("module ({}, {})", self.kernel.title(), build.name())
            }
            (What::Unplug(_), _) => format!("module ({})", self.kernel.title()),
            (What::Fault, _) => format!("faults for tests ({})", self.kernel.title()),
        }
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        let mut parts = self.kernel.parts();
        if self.what == What::Unplug(Build::Standalone) {
            parts.push(Box::new(Object));
        }
        parts
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs = self.kernel.inputs()?;
        if let What::Unplug(build) = self.what {
            inputs = inputs.text("build", build.name());
        }
        self.sources(&settings.checkout)?.add_to(inputs)
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(&format!("{}-{}", self.kind(), self.kernel.log_name()))?;
        let stage = dir.join("build");
        self.sources(&store.settings.checkout)?.copy_to(&stage)?;
        if self.what == What::Unplug(Build::Standalone) {
            Object::stage(parts.of(&Object), &stage)?;
        }
        let mut arguments = Vec::new();
        // The user's and Debian's kernels show that Kbuild chooses by itself.
        if let (What::Unplug(build), GuestKernel::Ours(_)) = (self.what, &self.kernel) {
            arguments.push(build.make_argument());
        }
        self.kernel.build_module(&mut log, parts, dir, self.file(), &arguments)
    }
}
