// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices of the machine that sequences are played on, and their connectors.

use std::{fmt, path::Path};

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
    /// Another CPU core.
    Core2,
    /// A DIMM of one LMB.
    Dimm1,
    /// A DIMM of two.
    Dimm2,
    /// A DIMM of three.
    Dimm3,
    /// A PCI function.
    Pci,
    /// Function 1 of a device with two functions.
    Function1,
    /// Function 0 of that device.
    Function0,
    /// A PCI host bridge.
    Phb,
    /// A PCI bridge on its root bus.
    Bridge,
    /// A PCI function on its root bus.
    OnRoot,
    /// A PCI function behind the bridge.
    Behind,
    /// Persistent memory.
    Nvdimm,
}

impl Device {
    /// Every device.
    pub const ALL: [Self; 13] = [
        Self::Core,
        Self::Core2,
        Self::Dimm1,
        Self::Dimm2,
        Self::Dimm3,
        Self::Pci,
        Self::Function1,
        Self::Function0,
        Self::Phb,
        Self::Bridge,
        Self::OnRoot,
        Self::Behind,
        Self::Nvdimm,
    ];

    /// Returns the device's ID in QMP.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Core => "core1",
            Self::Core2 => "core2",
            Self::Dimm1 => "dimm1",
            Self::Dimm2 => "dimm2",
            Self::Dimm3 => "dimm3",
            Self::Pci => "pci1",
            Self::Function1 => "function1",
            Self::Function0 => "function0",
            Self::Phb => "phb1",
            Self::Bridge => "bridge1",
            Self::OnRoot => "root1",
            Self::Behind => "behind1",
            Self::Nvdimm => "nvdimm1",
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
            Self::Core2 => 0x1000_0002,
            Self::Dimm1 => 0x8000_0004,
            Self::Dimm2 => 0x8000_0005,
            Self::Dimm3 => 0x8000_0007,
            Self::Pci => 0x4000_0018,
            Self::Function1 => 0x4000_0021,
            Self::Function0 => 0x4000_0020,
            Self::Phb => 0x2000_0001,
            Self::Bridge => 0x4001_0008,
            Self::OnRoot => 0x4001_0010,
            Self::Behind => 0x4001_0708,
            Self::Nvdimm => 0x9000_0007,
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
            Self::Core2 => ("power9_v2.2-spapr-cpu-core", vec![("core-id", "2".to_owned())]),
            Self::Dimm1 | Self::Dimm2 | Self::Dimm3 => {
                let address = u64::from(self.first() & 0x0FFF_FFFF) * LMB;
                ("pc-dimm", vec![("memdev", self.backend()), ("addr", format!("{address:#x}"))])
            }
            Self::Pci => ("virtio-rng-pci", on_bus("pci.0", "3")),
            Self::Function1 => ("virtio-rng-pci", on_bus("pci.0", "4.1")),
            Self::Function0 => {
                ("virtio-rng-pci", [on_bus("pci.0", "4.0"), vec![("multifunction", "on".to_owned())]].concat())
            }
            Self::Bridge => ("pci-bridge", [on_bus("phb1.0", "1"), vec![("chassis_nr", "7".to_owned())]].concat()),
            Self::OnRoot => ("virtio-rng-pci", on_bus("phb1.0", "2")),
            Self::Behind => ("virtio-rng-pci", on_bus("bridge1", "1")),
            Self::Nvdimm => (
                "nvdimm",
                vec![
                    ("memdev", self.backend()),
                    ("uuid", "75a3cdd7-6a2f-4791-8d15-fe0a920e8e9e".to_owned()),
                    ("label-size", LABEL.to_string()),
                    ("slot", "7".to_owned()),
                    ("addr", format!("{:#x}", NVDIMM_AT)),
                ],
            ),
            Self::Phb => ("spapr-pci-host-bridge", vec![("index", "1".to_owned())]),
        }
    }

    /// Returns the devices that can only be replaced together with this one, in the order in which they are plugged.
    pub const fn group(self) -> &'static [Self] {
        match self {
            Self::Core => &[Self::Core],
            Self::Core2 => &[Self::Core2],
            Self::Dimm1 => &[Self::Dimm1],
            Self::Dimm2 => &[Self::Dimm2],
            Self::Dimm3 => &[Self::Dimm3],
            Self::Pci => &[Self::Pci],
            Self::Function0 | Self::Function1 => &[Self::Function1, Self::Function0],
            Self::Phb | Self::Bridge | Self::OnRoot | Self::Behind => {
                &[Self::Phb, Self::Bridge, Self::OnRoot, Self::Behind]
            }
            Self::Nvdimm => &[Self::Nvdimm],
        }
    }

    /// Returns the devices that go when this one goes.
    pub const fn children(self) -> &'static [Self] {
        match self {
            Self::Phb => &[Self::Bridge, Self::OnRoot, Self::Behind],
            _ => &[],
        }
    }

    /// True if the device is one of these, or attached to one of them.
    pub fn goes_with(self, devices: &[Self]) -> bool {
        devices.iter().any(|device| *device == self || device.children().contains(&self))
    }

    /// True if QEMU can unplug the device by itself: a bridge goes with its PHB only, persistent memory never.
    pub const fn is_removable(self) -> bool {
        !matches!(self, Self::Bridge | Self::Nvdimm)
    }

    /// True if the device does DMA or has buses that do.
    pub const fn is_pci(self) -> bool {
        matches!(
            self,
            Self::Pci | Self::Function0 | Self::Function1 | Self::Phb | Self::Bridge | Self::OnRoot | Self::Behind
        )
    }

    /// Returns the size in bytes of the memory behind the device, if it is memory.
    fn memory(self) -> Option<u64> {
        match self {
            Self::Nvdimm => Some(LMB + LABEL),
            _ if self.is_dimm() => Some(u64::from(self.count()) * LMB),
            _ => None,
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

/// The guest physical address of the persistent memory, and the size in bytes of its label.
const NVDIMM_AT: u64 = 12 * LMB;
const LABEL: u64 = 128 << 10;

/// Empty connectors of each kind, and indexes of no connector.
pub const OTHERS: [u32; 8] = [
    0x1000_0003, // a core that could be plugged
    0x8000_000A, // an LMB behind the last DIMM
    0x4000_0028, // a PCI slot
    0x2000_0002, // a PHB
    BOOT_CORE,
    0x0000_0000,
    0x9000_0000, // a persistent memory region
    0xFFFF_FFFF,
];

fn on_bus(bus: &str, address: &str) -> Vec<(&'static str, String)> {
    vec![("bus", bus.to_owned()), ("addr", address.to_owned())]
}

/// The accelerator that runs no guest.
pub const QTEST: &str = "qtest";

/// Returns the arguments that start the machine without the devices in `absent`, and with its memory in files in the
/// directory `memory`, if there is one.
///
/// The machine is stopped (`-S`), so that the threads of its CPUs do not take the signals of [`Connection`].
///
/// [`Connection`]: crate::connection::Connection
pub fn arguments(accelerator: &str, absent: &[Device], memory: Option<&Path>) -> Vec<String> {
    let fixed = format!(
        "-S -machine pseries -accel {accelerator} -cpu power9 -smp 1,maxcpus=4 -nodefaults -nographic -no-shutdown"
    );
    let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    words.extend(["-m".to_owned(), format!("size={}M,slots=8,maxmem=4096M", BASE >> 20)]);
    let backend = |id: &str, size: u64| {
        let kind = memory.map_or("ram".to_owned(), |dir| format!("file,share=on,mem-path={}", dir.join(id).display()));
        ["-object".to_owned(), format!("memory-backend-{kind},id={id},size={size}")]
    };
    if memory.is_some() {
        words.extend(backend("base", BASE));
        words.extend(["-machine", "memory-backend=base"].map(str::to_owned));
    }
    for device in Device::ALL {
        if let Some(size) = device.memory() {
            words.extend(backend(&device.backend(), size));
        }
        if device.goes_with(absent) {
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
        assert_eq!(all.len(), 16);
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
