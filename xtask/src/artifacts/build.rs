// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds of the guest module, see `docs/adr/0050-one-source-two-builds.md`.

/// What the module shows to a kernel, see `docs/adr/0050-one-source-two-builds.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// A module of the kernel crate.
    KernelCrate,
    /// One that needs no Rust of the kernel: it is linked from [`Object`].
    Standalone,
}

impl Build {
    /// Its name, as Kbuild takes it and `modinfo` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KernelCrate => "kernel-crate",
            Self::Standalone => "freestanding",
        }
    }
}
