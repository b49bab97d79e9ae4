// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machine under test, with devices of every resource, of one and of several connectors.

/// Device that can be plugged: LoPAR's resource type, first DRC index, number of connectors.
pub type Plan = (u8, u32, u32);

pub const CPU: u8 = 1;
pub const MEMORY: u8 = 2;
pub const SLOT: u8 = 3;
pub const PHB: u8 = 4;
pub const PCI: u8 = 5;
pub const PMEM: u8 = 6;

pub const DEVICES: [Plan; 9] = [
    (CPU, 0x1000_0001, 1),
    (CPU, 0x1000_0002, 1),
    (MEMORY, 0x8000_0008, 3),
    (MEMORY, 0x8000_000B, 2),
    (PHB, 0x2000_0001, 1),
    (PMEM, 0x9000_0000, 1),
    (PCI, 0x4000_0001, 1),
    (PCI, 0x4000_0008, 2),
    (SLOT, 0x4000_0100, 1),
];

/// Connector that never has a device.
pub const VACANT: (u8, u32) = (MEMORY, 0x8000_0100);

/// DRC index of no connector.
pub const UNKNOWN: u32 = 0xFFFF_FFFF;

/// Offers to guests: indicator, classes, features.
pub const OFFERS: [(u32, u16, u8); 3] = [(9100, 0x7E, 3), (9999, 0x06, 1), (9555, 0x7E, 0)];

/// Number of requests that may be open, of all devices and of one.
pub const BOUND: usize = 5;
pub const BOUND_OF_DEVICE: usize = 3;

/// Returns the DRC index of every connector, between 0 (no connector) and [`UNKNOWN`].
pub fn indexes() -> Vec<u32> {
    let devices = DEVICES.iter().flat_map(|(_, first, count)| *first..first + count);
    [0].into_iter().chain(devices).chain([VACANT.1, UNKNOWN]).collect()
}

/// Returns whether the connectors of a resource have LoPAR's physical states.
pub fn is_physical(resource: u8) -> bool {
    matches!(resource, SLOT | PCI)
}
