// SPDX-License-Identifier: MIT OR Apache-2.0

//! Builds of the guest module, see `docs/adr/0050-one-source-two-builds.md`.

/// A way to build the module's Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// By the kernel's build, on the kernel crate.
    KernelCrate,
    /// Beforehand, as an object that any kernel's own compiler links: for kernels without `CONFIG_RUST`.
    Standalone,
}

impl Build {
    /// Returns the name, which Kbuild takes and `modinfo` prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KernelCrate => "kernel-crate",
            Self::Standalone => "standalone",
        }
    }

    /// Returns the argument by which `make` chooses this build.
    pub(crate) fn make_argument(self) -> String {
        format!("PAPR_UNPLUG_BUILD={}", self.name())
    }
}
