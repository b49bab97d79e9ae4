// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the guest learns that it may report: a property of the `/rtas` node.

use super::{hotplug::Resource, rtas::Indicator};
use core::{mem::size_of, ops};
use zerocopy::{
    byteorder::big_endian::U32,
    FromBytes as _, // for its methods only: the derive of the same name comes by glob
};
use zerocopy_derive::*;

/// The value of the property [`Offer::PROPERTY`]: three cells, and room for more behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Offer {
    /// The number of the indicator that takes reports, 9100 to 9999.
    pub indicator: U32,
    /// The resource classes that may be armed: [`Classes`] in the low half, zero in the high half.
    pub classes: U32,
    /// The features that may be armed: [`Features`] in the low byte, zero above.
    pub features: U32,
}

const _: () = assert!(size_of::<Offer>() == Offer::SIZE);

impl Offer {
    /// The property's name, under `/rtas`.
    pub const PROPERTY: &'static str = "papr-unplug,unplug-status";
    /// Its size in bytes.
    pub const SIZE: usize = 12;

    /// Reads an offer; `None` if it is too short or its indicator is not one of LoPAR's vendor indicators. Cells
    /// after the third are ignored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (offer, _) = Self::read_from_prefix(bytes).ok()?;
        Indicator::VENDOR.contains(&offer.indicator.get()).then_some(offer)
    }

    /// The indicator that takes reports.
    pub fn indicator(&self) -> Indicator {
        Indicator(self.indicator.get())
    }

    /// The classes that may be armed.
    pub fn classes(&self) -> Classes {
        Classes(self.classes.get() as u16)
    }

    /// The features that may be armed.
    pub fn features(&self) -> Features {
        Features(self.features.get() as u8)
    }
}

/// A set of resource classes: bit n stands for LoPAR's resource type n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Classes(pub u16);

impl Classes {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// Processor cores.
    pub const CPU: Self = Self::of(Resource::CPU);
    /// Logical memory blocks.
    pub const MEMORY: Self = Self::of(Resource::MEMORY);
    /// Slots.
    pub const SLOT: Self = Self::of(Resource::SLOT);
    /// PCI host bridges.
    pub const PHB: Self = Self::of(Resource::PHB);
    /// PCI functions.
    pub const PCI: Self = Self::of(Resource::PCI);
    /// Persistent memory.
    pub const PMEM: Self = Self::of(Resource::PMEM);

    /// The set of one class; empty for a resource type above 15.
    pub const fn of(resource: Resource) -> Self {
        if resource.0 < 16 {
            Self(1 << resource.0)
        } else {
            Self::NONE
        }
    }

    /// Whether every class of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl ops::BitOr for Classes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitAnd for Classes {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What a guest or a hypervisor does beyond the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(pub u8);

impl Features {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Hot plug events carry a token and reports repeat it.
    pub const TOKEN: Self = Self(1);
    /// The guest reports STARTED.
    pub const STARTED: Self = Self(2);

    /// Whether every feature of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl ops::BitOr for Features {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitAnd for Features {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 12] = [0, 0, 0x23, 0x8C, 0, 0, 0, 0x46, 0, 0, 0, 3];

    /// PUE-V-001, PUE-G-001
    #[test]
    fn offer_is_three_big_endian_cells() {
        let offer = Offer::from_bytes(&BYTES).unwrap();
        assert_eq!(offer.indicator(), Indicator(9100));
        assert_eq!(offer.classes(), Classes::CPU | Classes::MEMORY | Classes::PMEM);
        assert_eq!(offer.features(), Features::TOKEN | Features::STARTED);
    }

    /// PUE-G-002
    #[test]
    fn offer_with_more_cells_is_read_by_its_first_three() {
        let longer = [&BYTES[..], &[0xFF; 8]].concat();
        assert_eq!(Offer::from_bytes(&longer), Offer::from_bytes(&BYTES));
    }

    /// PUE-G-003
    #[test]
    fn offer_too_short_or_outside_the_vendor_range_is_none() {
        let isolation_state = [&[0, 0, 0x23, 0x29][..], &BYTES[4..]].concat();
        assert_eq!(Offer::from_bytes(&isolation_state), None);
        assert_eq!(Offer::from_bytes(&BYTES[..11]), None);
    }

    #[test]
    fn class_bits_are_lopars_resource_types() {
        let classes = [Classes::CPU, Classes::MEMORY, Classes::SLOT, Classes::PHB, Classes::PCI, Classes::PMEM];
        assert_eq!(classes.map(|class| class.0), [0x02, 0x04, 0x08, 0x10, 0x20, 0x40]);
        assert_eq!([Features::TOKEN, Features::STARTED].map(|feature| feature.0), [1, 2]);
        assert_eq!(Classes::of(Resource(16)), Classes::NONE);
    }
}
