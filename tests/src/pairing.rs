// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whose guest meets whose VMM.

use serde::{Serialize, Serializer};
use std::fmt;

/// Whose a guest or a VMM is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As everyone has it.
    Stock,
    /// With this project's part.
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

/// A guest and the VMM it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Whose guest: ours has the module loaded, the same kernel without it is stock.
    pub guest: Side,
    /// Whose VMM.
    pub vmm: Side,
}

impl Pairing {
    /// What everyone has today.
    pub const STOCK: Self = Self { guest: Side::Stock, vmm: Side::Stock };
    /// Our guest in the VMM that everyone has.
    pub const OURS_ON_STOCK: Self = Self { guest: Side::Ours, vmm: Side::Stock };
    /// The guest that everyone has in our VMM.
    pub const STOCK_ON_OURS: Self = Self { guest: Side::Stock, vmm: Side::Ours };
    /// Both ours.
    pub const OURS: Self = Self { guest: Side::Ours, vmm: Side::Ours };
}

impl Serialize for Side {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
