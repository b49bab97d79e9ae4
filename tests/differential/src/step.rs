// SPDX-License-Identifier: MIT OR Apache-2.0

//! One thing that a guest, or the host, does to the machine.

use crate::machine::Device;
use std::fmt;

/// The indicators of DR connectors.
pub mod indicator {
    /// Isolation state.
    pub const ISOLATION: u32 = 9001;
    /// DR indicator, a light.
    pub const LIGHT: u32 = 9002;
    /// Allocation state.
    pub const ALLOCATION: u32 = 9003;
    /// Reports, where a VMM takes them. There is no fixed number; all VMMs here happen to use the same.
    pub const REPORTS: u32 = 9100;
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The guest calls `set-indicator` with an indicator, an index and a value.
    Set(u32, u32, u32),
    /// The guest calls `get-sensor-state` with a sensor and an index.
    Sense(u32, u32),
    /// The guest calls `ibm,configure-connector` for an index, as long as there is more, but at most so often.
    Configure(u32, u32),
    /// The guest takes the next hot plug event.
    TakeEvent,
    /// The host asks for a device.
    Remove(Device),
    /// The host adds a device.
    Add(Device),
    /// The host resets the guest.
    Reset,
}

impl Step {
    /// The device it may change something about.
    pub fn device(&self) -> Option<Device> {
        match *self {
            Self::Set(_, index, _) | Self::Configure(index, _) => Device::at(index),
            Self::Remove(device) | Self::Add(device) => Some(device),
            Self::Sense(..) | Self::TakeEvent | Self::Reset => None,
        }
    }

    /// The connector whose state it may change.
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
    /// The guest promises to answer each request for a CPU or for memory that has a token, and to say when it begins.
    pub const ARM: Self = Self::Set(indicator::REPORTS, 0, 0x2003_0006);
    /// The guest promises nothing any more.
    pub const DISARM: Self = Self::Set(indicator::REPORTS, 0, 0x4000_0000);

    /// The guest says that it has begun with the request that has this token.
    pub const fn started(index: u32, token: u16) -> Self {
        Self::Set(indicator::REPORTS, index, 0x6000_0000 | token as u32)
    }

    /// The guest refuses at this connector, for a reason and with an errno.
    pub const fn refused(index: u32, reason: u8, errno: u8, token: u16) -> Self {
        let word = 0x8000_0000 | (reason as u32) << 24 | (errno as u32) << 16 | token as u32;
        Self::Set(indicator::REPORTS, index, word)
    }

    /// The guest thinks that it has given all back.
    pub const fn done(index: u32, token: u16) -> Self {
        Self::Set(indicator::REPORTS, index, 0xA000_0000 | token as u32)
    }
}

/// Names for the calls that LoPAR has names for; capitals, as they stand for values.
#[expect(non_snake_case, reason = "they read, and are used, like the values of `Step` that they are short for")]
impl Step {
    /// The guest cuts a connector off.
    pub const fn Isolate(index: u32) -> Self {
        Self::Set(indicator::ISOLATION, index, 0)
    }

    /// The guest takes a connector; a refusal, where it has it already.
    pub const fn Unisolate(index: u32) -> Self {
        Self::Set(indicator::ISOLATION, index, 1)
    }

    /// The guest gives a logical connector back.
    pub const fn Unusable(index: u32) -> Self {
        Self::Set(indicator::ALLOCATION, index, 0)
    }

    /// The guest acquires a logical connector.
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
