// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices that the host adds to a guest and asks it to give back.

pub mod cpu;
pub mod dimm;
pub mod pci;

/// Device that the host can request back.
pub trait Device {
    /// Returns the QEMU id of the device.
    fn id(&self) -> &str;
}

impl Device for String {
    fn id(&self) -> &str {
        self
    }
}

impl Device for str {
    fn id(&self) -> &str {
        self
    }
}
