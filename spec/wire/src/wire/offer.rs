// SPDX-License-Identifier: MIT OR Apache-2.0

//! Offer of a hypervisor to take reports: a property of the `/rtas` node.

use super::{hotplug::Resource, rtas::Indicator};
use core::{ffi::CStr, mem::size_of};
use zerocopy::{
    byteorder::big_endian::U32,
    FromBytes as _, // for its methods only: the derive of the same name comes by glob
};
use zerocopy_derive::*;

/// The value of the property [`Offer::PROPERTY`]: three cells, and room for more behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
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
    /// The name of the property of `/rtas`.
    pub const PROPERTY: &'static CStr = c"papr-unplug,unplug-status";
    /// The size in bytes.
    pub const SIZE: usize = 12;

    /// Returns an offer. Does not check that the indicator is one of LoPAR's vendor indicators.
    pub const fn new(indicator: Indicator, classes: Classes, features: Features) -> Self {
        Self {
            indicator: U32::new(indicator.0),
            classes: U32::new(classes.0 as u32),
            features: U32::new(features.0 as u32),
        }
    }

    /// Reads an offer; `None` if it is too short or its indicator is not one of LoPAR's vendor indicators. Cells
    /// after the third are ignored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (offer, _) = Self::read_from_prefix(bytes).ok()?;
        Indicator::VENDOR.contains(&offer.indicator.get()).then_some(offer)
    }

    /// Returns the indicator that takes reports.
    pub fn indicator(&self) -> Indicator {
        Indicator(self.indicator.get())
    }

    /// Returns the classes that may be armed.
    pub fn classes(&self) -> Classes {
        Classes(self.classes.get() as u16)
    }

    /// Returns the features that may be armed.
    pub fn features(&self) -> Features {
        Features(self.features.get() as u8)
    }
}

/// A set of resource classes: bit n stands for LoPAR's resource type n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Classes(pub u16);

flags! {
    impl Classes: u16 {
        /// Processor cores.
        const CPU = 1 << Resource::CPU.0;
        /// Logical memory blocks.
        const MEMORY = 1 << Resource::MEMORY.0;
        /// PCI slots.
        const SLOT = 1 << Resource::SLOT.0;
        /// PCI host bridges.
        const PHB = 1 << Resource::PHB.0;
        /// PCI functions.
        const PCI = 1 << Resource::PCI.0;
        /// Persistent memory.
        const PMEM = 1 << Resource::PMEM.0;
    }
}

impl Classes {
    /// The classes that Linux removes in the kernel.
    pub const IN_KERNEL: Self = Self::CPU.union(Self::MEMORY).union(Self::PMEM);

    /// The classes whose events Linux hands to user space.
    pub const IN_USER_SPACE: Self = Self::SLOT.union(Self::PHB).union(Self::PCI);

    /// Returns the set of one class; the empty set for a resource type above 15.
    pub const fn of(resource: Resource) -> Self {
        if resource.0 < 16 {
            Self(1 << resource.0)
        } else {
            Self::empty()
        }
    }
}

/// A set of features that a guest or a hypervisor has besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(pub u8);

flags! {
    impl Features: u8 {
        /// Hot plug events carry a token, and reports repeat it.
        const TOKEN = 1;
        /// The guest reports STARTED.
        const STARTED = 2;
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
        assert_eq!((Classes::all(), Features::all()), (Classes(0x7E), Features(3)));
        assert_eq!(Classes::IN_KERNEL.union(Classes::IN_USER_SPACE), Classes::all());
        assert_eq!(Classes::of(Resource(16)), Classes::empty());
    }
}
