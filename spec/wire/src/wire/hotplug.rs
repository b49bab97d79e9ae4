// SPDX-License-Identifier: MIT OR Apache-2.0

//! Request of a hot plug event: the hot plug section of a platform event log, from its resource type on.

use super::drc::DrcIndex;
use core::{fmt, mem::size_of};
use zerocopy::{
    byteorder::big_endian::U32,
    FromBytes as _, // for its methods only: the derive of the same name comes by glob
};
use zerocopy_derive::*;

/// Bytes 8 to 19 of the hot plug section, which Linux hands around as `struct pseries_hp_errorlog` (12 bytes, big
/// endian; LoPAR, "Platform Event Log Format, Hot Plug Section").
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct HotplugRequest {
    /// The kind of resource (section byte 8).
    pub resource: Resource,
    /// The action (section byte 9).
    pub action: Action,
    /// The kind of [`Self::identifier`] (section byte 0x0A).
    pub identifier_type: IdentifierType,
    /// LoPAR's Capability byte (section byte 0x0B), which Linux calls `reserved` and leaves uninitialised for requests
    /// that the guest makes itself: it means something only in a section that came from the hypervisor.
    pub capability: Capability,
    /// The connector or connectors (section bytes 0x0C to 0x13); [`Self::target`] reads them.
    pub identifier: [U32; 2],
}

const _: () = assert!(size_of::<HotplugRequest>() == HotplugRequest::SIZE);

/// The connectors that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One connector.
    Index(DrcIndex),
    /// A number of connectors that the guest chooses.
    Count(u32),
    /// A number of connectors with consecutive indexes.
    IndexedCount {
        /// The number.
        count: u32,
        /// The lowest index.
        first: DrcIndex,
    },
    /// A connector's name, or an unknown identifier type.
    Other(IdentifierType),
}

impl HotplugRequest {
    /// The size in bytes.
    pub const SIZE: usize = 12;

    /// A request of zeros, which fills unused room.
    pub const ZERO: Self = Self {
        resource: Resource(0),
        action: Action(0),
        identifier_type: IdentifierType(0),
        capability: Capability(0),
        identifier: [U32::ZERO; 2],
    };

    /// Reads a request; `None` if there are fewer than [`Self::SIZE`] bytes. Bytes after it are ignored.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::read_from_prefix(bytes).ok().map(|(request, _)| request)
    }

    /// Returns the connectors that the request names.
    pub fn target(&self) -> Target {
        let [first, second] = self.identifier;
        match self.identifier_type {
            IdentifierType::DRC_INDEX => Target::Index(DrcIndex(first.get())),
            IdentifierType::DRC_COUNT => Target::Count(first.get()),
            IdentifierType::DRC_INDEXED_COUNT => {
                Target::IndexedCount { count: first.get(), first: DrcIndex(second.get()) }
            }
            other => Target::Other(other),
        }
    }
}

impl From<[u8; HotplugRequest::SIZE]> for HotplugRequest {
    fn from(bytes: [u8; Self::SIZE]) -> Self {
        zerocopy::transmute!(bytes)
    }
}

impl Target {
    /// Returns the connector that stands for the whole request, if the request names one.
    pub fn connector(&self) -> Option<DrcIndex> {
        match *self {
            Self::Index(drc) | Self::IndexedCount { first: drc, .. } => Some(drc),
            Self::Count(_) | Self::Other(_) => None,
        }
    }
}

/// A kind of resource (section byte 8).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(transparent)]
pub struct Resource(pub u8);

impl Resource {
    /// A processor core.
    pub const CPU: Self = Self(1);
    /// Logical memory blocks.
    pub const MEMORY: Self = Self(2);
    /// A PCI slot.
    pub const SLOT: Self = Self(3);
    /// A PCI host bridge.
    pub const PHB: Self = Self(4);
    /// A PCI function.
    pub const PCI: Self = Self(5);
    /// Persistent memory.
    pub const PMEM: Self = Self(6);
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CPU => f.write_str("cpu"),
            Self::MEMORY => f.write_str("memory"),
            Self::SLOT => f.write_str("slot"),
            Self::PHB => f.write_str("phb"),
            Self::PCI => f.write_str("pci"),
            Self::PMEM => f.write_str("pmem"),
            Self(other) => write!(f, "resource-{other:#04x}"),
        }
    }
}

/// An action (section byte 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub struct Action(pub u8);

impl Action {
    /// Take the resource into use.
    pub const ADD: Self = Self(1);
    /// Give the resource back.
    pub const REMOVE: Self = Self(2);
}

/// A kind of identifier (section byte 0x0A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub struct IdentifierType(pub u8);

impl IdentifierType {
    /// By name (a string).
    pub const DRC_NAME: Self = Self(1);
    /// By one index.
    pub const DRC_INDEX: Self = Self(2);
    /// By number only.
    pub const DRC_COUNT: Self = Self(3);
    /// By number and first index.
    pub const DRC_INDEXED_COUNT: Self = Self(4);
}

/// LoPAR's Hotplug Event Capability bits (section byte 0x0B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub struct Capability(pub u8);

flags! {
    impl Capability: u8 {
        /// LoPAR's bit 0: the last four bytes of the section are a Hotplug Token.
        const TOKEN_PRESENT = 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes as _;

    const DIMM: [u8; 12] = [2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8];

    #[test]
    fn request_read_and_written_is_the_same_bytes() {
        let request = HotplugRequest::from_bytes(&DIMM).unwrap();
        assert_eq!(request.capability, Capability::TOKEN_PRESENT);
        assert_eq!(request.as_bytes(), DIMM);
    }

    #[test]
    fn request_of_eleven_bytes_is_none() {
        assert_eq!(HotplugRequest::from_bytes(&DIMM[..11]), None);
    }

    #[test]
    fn every_identifier_type_reads_as_linux_reads_it() {
        let named =
            |identifier_type| HotplugRequest { identifier_type, ..HotplugRequest::from_bytes(&DIMM).unwrap() }.target();
        assert_eq!(named(IdentifierType::DRC_INDEX), Target::Index(DrcIndex(2)));
        assert_eq!(named(IdentifierType::DRC_COUNT), Target::Count(2));
        assert_eq!(
            named(IdentifierType::DRC_INDEXED_COUNT),
            Target::IndexedCount { count: 2, first: DrcIndex(0x8000_0008) }
        );
        for other in (0..=u8::MAX).filter(|byte| !(2..=4).contains(byte)).map(IdentifierType) {
            assert_eq!(named(other), Target::Other(other));
            assert_eq!(named(other).connector(), None);
        }
    }

    #[test]
    fn numbers_are_those_of_lopar() {
        assert_eq!(
            [Resource::CPU, Resource::MEMORY, Resource::SLOT, Resource::PHB, Resource::PCI, Resource::PMEM]
                .map(|r| r.0),
            [1, 2, 3, 4, 5, 6]
        );
        assert_eq!([Action::ADD, Action::REMOVE].map(|a| a.0), [1, 2]);
        assert_eq!(
            [
                IdentifierType::DRC_NAME,
                IdentifierType::DRC_INDEX,
                IdentifierType::DRC_COUNT,
                IdentifierType::DRC_INDEXED_COUNT
            ]
            .map(|i| i.0),
            [1, 2, 3, 4]
        );
    }
}
