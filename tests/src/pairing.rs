// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pairings of a stock or patched guest with a stock or patched VMM.

use serde::{Serialize, Serializer};
use std::fmt;

/// Origin of a guest or a VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Without this project's part.
    Stock,
    /// With this project's part: the guest module, or the QEMU patches.
    Ours,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stock => "stock",
            Self::Ours => "papr-unplug",
        })
    }
}

/// Pairing of a guest and the VMM that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Guest. [`Side::Ours`] has the module loaded; the kernel is the same.
    pub guest: Side,
    /// VMM.
    pub vmm: Side,
}

impl Pairing {
    /// Stock guest, stock VMM.
    pub const STOCK: Self = Self { guest: Side::Stock, vmm: Side::Stock };
    /// Guest with the module, stock VMM.
    pub const OURS_ON_STOCK: Self = Self { guest: Side::Ours, vmm: Side::Stock };
    /// Stock guest, patched VMM.
    pub const STOCK_ON_OURS: Self = Self { guest: Side::Stock, vmm: Side::Ours };
    /// Guest with the module, patched VMM.
    pub const OURS: Self = Self { guest: Side::Ours, vmm: Side::Ours };
}

impl Serialize for Side {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
