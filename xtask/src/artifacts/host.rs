// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hosts that VMMs are built for.

use crate::{
    roots::{CROSS_ROOT, QEMU_ROOT, Root},
    run::machine::{self, Arch, POWER},
};
use anyhow::Result;

/// A kind of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// Machines of this one's architecture.
    Own,
    /// POWER machines, on which KVM runs pseries guests.
    Power,
}

impl Host {
    pub(crate) fn arch(self) -> Result<Arch> {
        if self == Self::Own { machine::arch() } else { Ok(POWER) }
    }

    /// Returns the root that programs for them are built in.
    pub(crate) fn root(self) -> Root {
        if self == Self::Own { QEMU_ROOT } else { CROSS_ROOT }
    }

    /// Returns the name of a program of the tool chain, such as `gcc`.
    pub(crate) fn tool(self, name: &str) -> String {
        if self == Self::Own { name.to_owned() } else { format!("{}-{name}", POWER.triplet) }
    }
}
