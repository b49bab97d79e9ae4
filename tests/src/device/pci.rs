// SPDX-License-Identifier: MIT OR Apache-2.0

//! PCI functions and PCI host bridges (PHBs).

use crate::{device::Device, vm::Vm};
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::json;

/// Shell command that loads the driver of a virtio disk, with that of its bus where this is a module (Linux 6.1), and waits
/// for the disk.
pub const LOAD_DISK: &str = "{ modprobe -q virtio_pci || true; } && modprobe virtio_blk && \
                             until [ -e /dev/vda ]; do :; done";

/// PCI function on a PHB, the guest's first one unless another is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    id: String,
    phb: u32,
    slot: u8,
    function: u8,
}

impl Device for Function {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Function {
    /// Returns function 0 of a slot.
    pub fn new(slot: u8) -> Self {
        Self::of_several(slot, 0)
    }

    /// Returns a function of a slot.
    pub fn of_several(slot: u8, function: u8) -> Self {
        Self { id: format!("nic{slot}.{function}"), phb: 0, slot, function }
    }

    /// Returns a function of a slot of a PHB.
    pub fn behind(phb: &Phb, slot: u8, function: u8) -> Self {
        Self { id: format!("{}-nic{slot}.{function}", phb.id), phb: phb.index, slot, function }
    }

    /// Returns the DRC index of the function.
    pub fn connector(&self) -> DrcIndex {
        // A DRC index of QEMU has the connector's type in its top four bits (4 for PCI); below are the number of the
        // PHB, that of the bus, and slot and function as PCI numbers them.
        DrcIndex(0x4000_0000 | self.phb << 16 | u32::from(self.slot) << 3 | u32::from(self.function))
    }

    /// Returns the directory of the function in the guest's sysfs.
    pub fn directory(&self) -> String {
        format!("/sys/bus/pci/devices/{:04x}:00:{:02x}.{}", self.phb, self.slot, self.function)
    }

    /// Returns the option by which QEMU starts with the function, a network card without a network.
    pub fn option(&self) -> String {
        self.option_of("virtio-net-pci,romfile=")
    }

    /// Returns the options by which QEMU starts with the function, a disk of 16 MiB that forgets what is written to it.
    pub fn options_of_disk(&self) -> [String; 4] {
        let medium = "if=none,id=medium,driver=null-co,size=16M,read-zeroes=on,snapshot=on";
        let device = self.option_of("virtio-blk-pci,drive=medium");
        ["-drive", medium, "-device", &device].map(str::to_owned)
    }

    /// Returns the option by which QEMU starts with the function, which is one of `driver`, with its properties.
    pub fn option_of(&self, driver: &str) -> String {
        self.option_on(driver, &self.bus())
    }

    fn bus(&self) -> String {
        if self.phb == 0 { "pci.0".to_owned() } else { format!("phb{}.0", self.phb) }
    }

    /// Returns the option by which QEMU starts with the function on the bus with this id: that of a bridge, or of a PHB.
    pub fn option_on(&self, driver: &str, bus: &str) -> String {
        let Self { id, slot, function, .. } = self;
        format!("{driver},id={id},bus={bus},addr={slot:#x}.{function},multifunction=on")
    }
}

/// PHB that was hot-plugged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phb {
    id: String,
    index: u32,
}

impl Device for Phb {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Phb {
    /// Returns a PHB. The guest's first one has the index 0.
    pub fn new(index: u32) -> Self {
        Self { id: format!("phb{index}"), index }
    }

    /// Returns the DRC index of the PHB.
    pub fn connector(&self) -> DrcIndex {
        DrcIndex(0x2000_0000 | self.index)
    }

    /// Returns the option by which QEMU starts with the PHB.
    pub fn option(&self) -> String {
        format!("spapr-pci-host-bridge,id={},index={}", self.id, self.index)
    }
}

impl Vm {
    /// Adds a network card, and waits until the guest's kernel has found it.
    pub fn plug_function(&mut self, function: &Function) -> Result<()> {
        let Function { id, slot, function: number, .. } = function;
        let device = json!({
            "driver": "virtio-net-pci", "romfile": "", "id": id, "bus": function.bus(),
            "addr": format!("{slot:#x}.{number}"), "multifunction": true,
        });
        self.qmp.execute("device_add", device)?;
        self.guest.sh(&format!("until [ -e {} ]; do :; done", function.directory())).map(drop)
    }

    /// Makes a file system on the only disk, and mounts it on `/mnt`, with a file.
    pub fn mount_disk(&mut self) -> Result<()> {
        self.guest.sh(&format!("{LOAD_DISK} && mke2fs /dev/vda > /dev/null"))?;
        // Up to Linux 6.12 ext4 asks for a module that busybox does not find.
        self.guest.sh("modprobe -q crc32c_generic; modprobe ext4 && mkdir /mnt && mount -t ext4 /dev/vda /mnt && echo kept > /mnt/file && sync")?;
        Ok(())
    }

    /// Returns whether the file is still on the disk.
    pub fn has_data(&mut self) -> Result<bool> {
        let output = self.guest.run("sync; echo 3 > /proc/sys/vm/drop_caches; cat /mnt/file")?;
        Ok(output.status == 0 && output.text.trim() == "kept")
    }

    /// Returns whether the guest's kernel has the function.
    pub fn has_function(&mut self, function: &Function) -> Result<bool> {
        let output = self.guest.run(&format!("[ -e {} ]", function.directory()))?;
        Ok(output.status == 0)
    }

    /// Returns whether the VMM has a device.
    pub fn has_device(&mut self, device: &(impl Device + ?Sized)) -> Result<bool> {
        let children = self.qmp.execute("qom-list", json!({ "path": "/machine/peripheral" }))?;
        let children = children.as_array().context("the VMM lists no devices")?;
        Ok(children.iter().any(|child| child["name"] == device.id()))
    }
}
