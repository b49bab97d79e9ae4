// SPDX-License-Identifier: MIT OR Apache-2.0

//! The machine under study: two devices on three logical DR connectors.

use papr_unplug_wire::wire::{drc::DrcIndex, hotplug::Resource, offer::Classes, rtas::Indicator};
use std::fmt;

/// The indicator that the model's VMMs take reports on.
pub const UNPLUG_STATUS: Indicator = Indicator(9100);

/// Something that can be unplugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// A processor core, one connector.
    Cpu,
    /// A DIMM of two LMBs, two connectors.
    Dimm,
}

/// A DR connector: 0 is the CPU's, 1 and 2 are the DIMM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connector(pub u8);

/// The connector of the CPU.
pub const CPU0: Connector = Connector(0);
/// The connector of the DIMM's first LMB.
pub const LMB0: Connector = Connector(1);
/// The connector of the DIMM's second LMB.
pub const LMB1: Connector = Connector(2);

/// How many connectors there are.
pub const CONNECTORS: usize = 3;

impl Device {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Dimm];

    /// Its connectors, in the order of their indexes.
    pub fn connectors(self) -> &'static [Connector] {
        match self {
            Self::Cpu => &[CPU0],
            Self::Dimm => &[LMB0, LMB1],
        }
    }

    /// What LoPAR calls this kind of resource.
    pub fn resource(self) -> Resource {
        match self {
            Self::Cpu => Resource::CPU,
            Self::Dimm => Resource::MEMORY,
        }
    }

    /// The class that a guest arms for it.
    pub fn class(self) -> Classes {
        Classes::of(self.resource())
    }

    /// Its place in an array of devices.
    pub fn slot(self) -> usize {
        self as usize
    }
}

impl Connector {
    /// The connector with this DRC index.
    pub fn of(index: DrcIndex) -> Option<Self> {
        (0..CONNECTORS as u8).map(Self).find(|connector| connector.index() == index)
    }

    /// Its DRC index, as QEMU numbers them.
    pub fn index(self) -> DrcIndex {
        DrcIndex(match self {
            CPU0 => 0x1000_0001,
            LMB0 => 0x8000_0008,
            Connector(_) => 0x8000_0009,
        })
    }

    /// The device behind it.
    pub fn device(self) -> Device {
        if self == CPU0 { Device::Cpu } else { Device::Dimm }
    }

    /// Its place in an array of connectors.
    pub fn slot(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "the CPU",
            Self::Dimm => "the DIMM",
        })
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            CPU0 => "CPU core",
            LMB0 => "LMB 0",
            Self(_) => "LMB 1",
        })
    }
}
