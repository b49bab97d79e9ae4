// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices of the machine that sequences are played on, and their connectors.

use std::fmt;

/// The size of an LMB in bytes.
const LMB: u64 = 256 << 20;

/// The size in bytes of the memory that is no DIMM. The DIMMs follow it.
const BASE: u64 = 4 * LMB;

/// The connector of the boot core, which no sequence removes.
pub const BOOT_CORE: u32 = 0x1000_0000;

/// A device that can be removed and added again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// A CPU core.
    Core,
    /// A DIMM of one LMB.
    Dimm1,
    /// A DIMM of two.
    Dimm2,
    /// A DIMM of three.
    Dimm3,
    /// A PCI function.
    Pci,
    /// A PCI host bridge with nothing behind it.
    Phb,
}

impl Device {
    /// Every device.
    pub const ALL: [Self; 6] = [Self::Core, Self::Dimm1, Self::Dimm2, Self::Dimm3, Self::Pci, Self::Phb];

    /// Returns the device's ID in QMP.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Core => "core1",
            Self::Dimm1 => "dimm1",
            Self::Dimm2 => "dimm2",
            Self::Dimm3 => "dimm3",
            Self::Pci => "pci1",
            Self::Phb => "phb1",
        }
    }

    /// Returns the device with this ID.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.id() == id)
    }

    /// Returns the DRC index of the device's first connector.
    pub const fn first(self) -> u32 {
        match self {
            Self::Core => 0x1000_0001,
            Self::Dimm1 => 0x8000_0004,
            Self::Dimm2 => 0x8000_0005,
            Self::Dimm3 => 0x8000_0007,
            Self::Pci => 0x4000_0018,
            Self::Phb => 0x2000_0001,
        }
    }

    /// Returns the number of the device's connectors. Their DRC indexes are consecutive.
    pub const fn count(self) -> u32 {
        match self {
            Self::Dimm2 => 2,
            Self::Dimm3 => 3,
            _ => 1,
        }
    }

    /// Returns the DRC indexes of the device's connectors.
    pub fn connectors(self) -> impl Iterator<Item = u32> + Clone {
        self.first()..self.first() + self.count()
    }

    /// Returns the device that a connector belongs to when every device is plugged.
    pub fn at(connector: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.connectors().any(|found| found == connector))
    }

    /// True if the device's connectors are LMBs.
    pub const fn is_dimm(self) -> bool {
        matches!(self, Self::Dimm1 | Self::Dimm2 | Self::Dimm3)
    }

    /// Returns the driver, and the properties except the ID, of the `device_add` that plugs the device.
    pub fn driver(self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Self::Core => ("power9_v2.2-spapr-cpu-core", vec![("core-id", "1".to_owned())]),
            Self::Dimm1 | Self::Dimm2 | Self::Dimm3 => {
                let address = u64::from(self.first() & 0x0FFF_FFFF) * LMB;
                ("pc-dimm", vec![("memdev", self.backend()), ("addr", format!("{address:#x}"))])
            }
            Self::Pci => ("virtio-rng-pci", vec![("bus", "pci.0".to_owned()), ("addr", "3".to_owned())]),
            Self::Phb => ("spapr-pci-host-bridge", vec![("index", "1".to_owned())]),
        }
    }

    fn backend(self) -> String {
        format!("backend-{}", self.id())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// Empty connectors of each kind, and indexes of no connector.
pub const OTHERS: [u32; 8] = [
    0x1000_0002, // a core that could be plugged
    0x8000_000A, // an LMB behind the last DIMM
    0x4000_0020, // a PCI slot
    0x2000_0002, // a PHB
    BOOT_CORE,
    0x0000_0000,
    0x9000_0000, // a persistent memory region
    0xFFFF_FFFF,
];

/// The accelerator that runs no guest.
pub const QTEST: &str = "qtest";

/// Returns the arguments that start the machine without the devices in `absent`.
///
/// The machine is stopped (`-S`), so that the threads of its CPUs do not take the signals of [`Connection`].
///
/// [`Connection`]: crate::connection::Connection
pub fn arguments(accelerator: &str, absent: &[Device]) -> Vec<String> {
    let fixed = format!(
        "-S -machine pseries -accel {accelerator} -cpu power9 -smp 1,maxcpus=3 -nodefaults -nographic -no-shutdown"
    );
    let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    words.extend(["-m".to_owned(), format!("size={}M,slots=8,maxmem=2816M", BASE >> 20)]);
    for device in Device::ALL {
        if device.is_dimm() {
            let size = (u64::from(device.count()) * LMB) >> 20;
            words.push("-object".to_owned());
            words.push(format!("memory-backend-ram,id={},size={size}M", device.backend()));
        }
        if absent.contains(&device) {
            continue;
        }
        let (driver, properties) = device.driver();
        let properties: String = properties.iter().map(|(name, value)| format!(",{name}={value}")).collect();
        words.push("-device".to_owned());
        words.push(format!("{driver},id={}{properties}", device.id()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_belong_to_one_device_each() {
        let all: Vec<u32> = Device::ALL.into_iter().flat_map(Device::connectors).collect();
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(|connector| Device::at(*connector).unwrap().connectors().any(|c| c == *connector)));
        assert!(OTHERS.iter().all(|other| Device::at(*other).is_none()));
    }

    #[test]
    fn dimms_lie_side_by_side_behind_the_base() {
        let first = u64::from(Device::Dimm1.first() & 0x0FFF_FFFF);
        assert_eq!(first * LMB, BASE);
        assert_eq!(Device::Dimm1.first() + Device::Dimm1.count(), Device::Dimm2.first());
        assert_eq!(Device::Dimm2.first() + Device::Dimm2.count(), Device::Dimm3.first());
    }
}
