// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices that the host adds to a guest and asks it to give back.

pub mod cpu;
pub mod dimm;

/// A device that can be asked for.
pub trait Device {
    /// Returns the QEMU id of the device.
    fn id(&self) -> &str;
}
