// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machine of the model and of the vectors: its devices and their DR connectors.

use papr_unplug_wire::wire::{drc::DrcIndex, hotplug::Resource, offer::Classes, rtas::Indicator};
use std::fmt;

/// The indicator on which the model's VMMs take reports.
pub const UNPLUG_STATUS: Indicator = Indicator(9100);

/// Something that can be unplugged: connectors of one resource, with consecutive DRC indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The kind of resource.
    pub resource: Resource,
    /// The lowest DRC index.
    pub first: DrcIndex,
    /// The number of connectors.
    pub count: u32,
}

/// A processor core.
pub const CPU: Device = Device { resource: Resource::CPU, first: CPU0, count: 1 };
/// A DIMM of two LMBs.
pub const DIMM: Device = Device { resource: Resource::MEMORY, first: LMB0, count: 2 };
/// Function 0 of a PCI slot.
pub const FUNCTION0: Device = Device { resource: Resource::PCI, first: DrcIndex(0x4000_0100), count: 1 };
/// Function 1 of the same slot, which the guest can be asked for only together with function 0.
pub const FUNCTION1: Device = Device { resource: Resource::PCI, first: DrcIndex(0x4000_0101), count: 1 };

/// The devices that the model explores.
pub const DEVICES: [Device; 2] = [CPU, DIMM];
/// The devices that the model explores whose removal is user space's.
pub const USER_SPACE_DEVICES: [Device; 1] = [FUNCTION0];
/// The devices of the vectors' machine.
pub const ALL_DEVICES: [Device; 4] = [CPU, DIMM, FUNCTION0, FUNCTION1];

/// The connector of the CPU, numbered as QEMU does.
pub const CPU0: DrcIndex = DrcIndex(0x1000_0001);
/// The connector of the DIMM's first LMB.
pub const LMB0: DrcIndex = DrcIndex(0x8000_0008);
/// The connector of the DIMM's second LMB.
pub const LMB1: DrcIndex = DrcIndex(0x8000_0009);

/// The connectors of [`DEVICES`].
pub const CONNECTORS: [DrcIndex; 3] = [CPU0, LMB0, LMB1];

/// Which of [`CONNECTORS`], and of the function's, the guest holds, or any other property of each.
pub type PerConnector = [bool; CONNECTORS.len() + 1];

/// Returns the place of a connector in [`CONNECTORS`], or behind them.
pub fn slot(connector: DrcIndex) -> usize {
    CONNECTORS.iter().position(|one| *one == connector).unwrap_or(CONNECTORS.len())
}

impl Device {
    /// Returns its connectors, the lowest DRC index first.
    pub fn connectors(self) -> impl DoubleEndedIterator<Item = DrcIndex> + Clone {
        (self.first.0..self.first.0 + self.count).map(DrcIndex)
    }

    /// Returns the connector with the highest DRC index.
    pub fn last(self) -> DrcIndex {
        DrcIndex(self.first.0 + self.count - 1)
    }

    /// Returns whether the connector is one of the device's.
    pub fn has(self, connector: DrcIndex) -> bool {
        (self.first..=self.last()).contains(&connector)
    }

    /// Returns whether Linux leaves its removal to user space.
    pub fn is_in_user_space(self) -> bool {
        Classes::IN_USER_SPACE.contains(self.class())
    }

    /// Returns the class that a guest arms for it.
    pub fn class(self) -> Classes {
        Classes::of(self.resource)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CPU => f.write_str("the CPU"),
            DIMM => f.write_str("the DIMM"),
            FUNCTION0 => f.write_str("function 0"),
            Self { resource, first, .. } => write!(f, "the {resource} device at {first}"),
        }
    }
}

/// Writes a connector for people.
pub struct ConnectorName(pub DrcIndex);

impl fmt::Display for ConnectorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CPU0 => f.write_str("the CPU core"),
            LMB0 => f.write_str("LMB 0"),
            LMB1 => f.write_str("LMB 1"),
            connector if connector == FUNCTION0.first => f.write_str("function 0"),
            other => write!(f, "connector {other}"),
        }
    }
}
