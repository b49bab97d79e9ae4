// SPDX-License-Identifier: MIT OR Apache-2.0

//! Steps: what a guest or the host does to the machine.

use crate::machine::Device;
use std::fmt;

/// The indicators of DR connectors.
pub mod indicator {
    /// Isolation state.
    pub const ISOLATION: u32 = 9001;
    /// DR indicator (a light).
    pub const LIGHT: u32 = 9002;
    /// Allocation state.
    pub const ALLOCATION: u32 = 9003;
    /// Reports. The number is the VMM's choice; all VMMs here use this one.
    pub const REPORTS: u32 = 9100;
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The guest calls `set-indicator` with an indicator, an index and a value.
    Set(u32, u32, u32),
    /// The guest calls `get-sensor-state` with a sensor and an index.
    Sense(u32, u32),
    /// The guest calls `ibm,configure-connector` for an index until the node ends, at most this many times.
    Configure(u32, u32),
    /// The guest fetches the next hot plug event.
    TakeEvent,
    /// The host executes `device_del`.
    Remove(Device),
    /// The host executes `device_add`.
    Add(Device),
    /// The host resets the machine.
    Reset,
}

impl Step {
    /// Returns the device that the step may change.
    pub fn device(&self) -> Option<Device> {
        match *self {
            Self::Set(_, index, _) | Self::Configure(index, _) => Device::at(index),
            Self::Remove(device) | Self::Add(device) => Some(device),
            Self::Sense(..) | Self::TakeEvent | Self::Reset => None,
        }
    }

    /// Returns the connector whose state the step may change.
    pub fn connector(&self) -> Option<u32> {
        match *self {
            Self::Set(indicator::ISOLATION | indicator::ALLOCATION, index, _) | Self::Configure(index, _) => {
                Some(index)
            }
            _ => None,
        }
    }
}

impl Step {
    /// The guest arms for CPUs, memory, PHBs and PCI functions, with tokens and STARTED.
    pub const ARM: Self = Self::Set(indicator::REPORTS, 0, 0x2003_0036);
    /// The guest disarms.
    pub const DISARM: Self = Self::Set(indicator::REPORTS, 0, 0x4000_0000);

    /// The guest reports STARTED for the request with this token.
    pub const fn started(index: u32, token: u16) -> Self {
        Self::Set(indicator::REPORTS, index, 0x6000_0000 | token as u32)
    }

    /// The guest reports REFUSED at this connector.
    pub const fn refused(index: u32, reason: u8, errno: u8, token: u16) -> Self {
        let word = 0x8000_0000 | (reason as u32) << 24 | (errno as u32) << 16 | token as u32;
        Self::Set(indicator::REPORTS, index, word)
    }

    /// The guest reports DONE.
    pub const fn done(index: u32, token: u16) -> Self {
        Self::Set(indicator::REPORTS, index, 0xA000_0000 | token as u32)
    }
}

/// The calls that LoPAR has names for.
#[expect(non_snake_case, reason = "they read, and are used, like the values of `Step` that they are short for")]
impl Step {
    /// The guest isolates a connector.
    pub const fn Isolate(index: u32) -> Self {
        Self::Set(indicator::ISOLATION, index, 0)
    }

    /// The guest unisolates a connector; a hint of a refusal if it is not isolated.
    pub const fn Unisolate(index: u32) -> Self {
        Self::Set(indicator::ISOLATION, index, 1)
    }

    /// The guest makes a logical connector unusable.
    pub const fn Unusable(index: u32) -> Self {
        Self::Set(indicator::ALLOCATION, index, 0)
    }

    /// The guest makes a logical connector usable.
    pub const fn Usable(index: u32) -> Self {
        Self::Set(indicator::ALLOCATION, index, 1)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(indicator::ISOLATION, index, 0) => write!(f, "isolate {index:#010x}"),
            Self::Set(indicator::ISOLATION, index, 1) => write!(f, "unisolate {index:#010x}"),
            Self::Set(indicator::ALLOCATION, index, 0) => write!(f, "unusable {index:#010x}"),
            Self::Set(indicator::ALLOCATION, index, 1) => write!(f, "usable {index:#010x}"),
            Self::Set(indicator, index, value) => write!(f, "set-indicator {indicator} {index:#010x} {value:#x}"),
            Self::Sense(sensor, index) => write!(f, "get-sensor-state {sensor} {index:#010x}"),
            Self::Configure(index, u32::MAX) => write!(f, "configure {index:#010x}"),
            Self::Configure(index, calls) => write!(f, "configure {index:#010x}, {calls} calls"),
            Self::TakeEvent => f.write_str("take an event"),
            Self::Remove(device) => write!(f, "device_del {device}"),
            Self::Add(device) => write!(f, "device_add {device}"),
            Self::Reset => f.write_str("reset"),
        }
    }
}
