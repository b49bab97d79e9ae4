// SPDX-License-Identifier: MIT OR Apache-2.0

//! Name of a guest kernel on the command line.

use crate::{
    artifacts::{debian_kernel::DebianKernel, flavour::Flavour, guest_kernel::GuestKernel},
    settings::Settings,
};
use anyhow::Result;
use clap::ValueEnum as _;

/// A guest kernel that has a name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KernelName {
    /// One that is built here, or the user's in its place.
    Ours(Flavour),
    /// One that Debian has built.
    Debian(DebianKernel),
}

impl KernelName {
    /// Returns the kernel of this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let ours = Flavour::from_str(name, false).map(Self::Ours);
        ours.or_else(|_| DebianKernel::from_str(name, false).map(Self::Debian)).map_err(|_| {
            "neither `cargo xtask test --kernel` nor `cargo xtask kernels` knows this kernel; see their --help"
                .to_owned()
        })
    }

    /// Returns the kernel itself.
    pub(crate) fn kernel(self, settings: &Settings) -> GuestKernel {
        match self {
            Self::Ours(flavour) => GuestKernel::chosen(settings, flavour),
            Self::Debian(kernel) => GuestKernel::Debian(kernel),
        }
    }
}
