// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules that are built out of tree from this checkout.

use crate::{
    artifacts::{
        flavour::{Build, Flavour},
        guest_kernel::GuestKernel,
        object::{self, object},
        sources::Sources,
    },
    cache::{Made, Recipe, Work},
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
        let standalone = Self { kernel: kernel.clone(), what: What::Unplug(Build::Standalone) };
        (standalone.is_for_ours() && kernel.build() != Build::Standalone).then_some(standalone)
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
    fn file(&self) -> &'static str {
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

    /// Returns the recipe.
    pub(crate) fn recipe(&self) -> Recipe {
        let (module, kernel) = (self.clone(), self.kernel.title());
        let (kind, title) = match self.what {
            What::Unplug(build) => {
                let kind = match build == self.kernel.build() {
                    true => self.kernel.kind(["module", "debian-module", "own-module"]),
                    false => "standalone-module",
                };
                let build = if self.is_for_ours() { format!(", {}", build.name()) } else { String::new() };
                (kind, format!("module ({kernel}{build})"))
            }
            What::Fault => {
                (self.kernel.kind(["fault", "debian-fault", "own-fault"]), format!("faults for tests ({kernel})"))
            }
        };
        let mut recipe = self.kernel.add_to(Recipe::new(kind, title, move |work| module.make(work)));
        if let What::Unplug(build) = self.what {
            recipe = recipe.parts((build == Build::Standalone).then(object)).text("build", build.name());
        }
        let module = self.clone();
        recipe
            .read(move |inputs, settings| module.sources(&settings.checkout)?.add_to(module.kernel.read(inputs)?))
            .file(self.file())
            .logged_as(&self.kernel.log_name())
    }

    fn is_for_ours(&self) -> bool {
        matches!(self.kernel, GuestKernel::Ours(_))
    }

    fn make(&self, work: &Work<'_>) -> Result<Made> {
        let stage = work.mkdir("build")?;
        self.sources(&work.settings.checkout)?.copy_to(&stage)?;
        let mut arguments = Vec::new();
        if let What::Unplug(build) = self.what {
            if build == Build::Standalone {
                object::stage(work.of(object::KIND), &stage)?;
            }
            // The user's and Debian's kernels show that Kbuild chooses by itself.
            arguments.extend(self.is_for_ours().then(|| format!("PAPR_UNPLUG_BUILD={}", build.name())));
        }
        self.kernel.build_module(work, &stage, self.file(), &arguments)
    }
}
