// SPDX-License-Identifier: MIT OR Apache-2.0

//! DIMMs.

use crate::{device::Device, vm::Vm};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::{Value, json};

/// A logical memory block, in bytes. QEMU's are of 256 MiB, and the guest's memory blocks are as large.
pub const LMB: u64 = 256 << 20;
/// The smallest DIMM.
pub const ONE_LMB: u64 = LMB;
/// A DIMM of which the guest can take one half and refuse the other.
pub const TWO_LMBS: u64 = 2 * LMB;

/// A DIMM in the guest.
#[derive(Clone, Debug)]
pub struct Dimm {
    id: String,
    /// Where the guest sees it.
    address: u64,
}

impl Device for Dimm {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Dimm {
    /// The memory block of its first LMB, as `/sys/devices/system/memory/memoryN` counts them.
    pub fn first_block(&self) -> u64 {
        self.address / LMB
    }

    /// The connector of an LMB, counted from 0.
    pub fn connector(&self, lmb: u32) -> DrcIndex {
        // QEMU gives an LMB's connector the type 8 in the top four bits, and the block's number below.
        DrcIndex(0x8000_0000 + self.first_block() as u32 + lmb)
    }
}

/// The id of what is behind a DIMM.
fn backend(dimm: &str) -> String {
    format!("{dimm}-ram")
}

impl Vm {
    /// Adds a DIMM of so many bytes and waits until the guest has it online.
    pub fn plug_dimm(&mut self, size: u64) -> Result<Dimm> {
        self.plug_dimm_into(0, size)
    }

    /// Adds a DIMM to a NUMA node.
    pub fn plug_dimm_into(&mut self, node: u32, size: u64) -> Result<Dimm> {
        self.devices += 1;
        let id = format!("dimm{}", self.devices);
        let backend = backend(&id);
        // The guest touches little of a large DIMM, and the host need not have all of it.
        let ram = json!({ "qom-type": "memory-backend-ram", "id": backend, "size": size, "reserve": false });
        self.qmp.execute("object-add", ram)?;
        self.plug(json!({ "driver": "pc-dimm", "id": id, "memdev": backend, "node": node }))?;
        let address = self.address_of(&id)?;
        Ok(Dimm { id, address })
    }

    /// Forgets what was behind a device that is gone.
    pub fn forget(&mut self, device: &(impl Device + ?Sized)) -> Result<()> {
        let backend = backend(device.id());
        let objects = self.qmp.execute("qom-list", json!({ "path": "/objects" }))?;
        if objects.as_array().into_iter().flatten().any(|object| object["name"] == *backend) {
            self.qmp.execute("object-del", json!({ "id": backend }))?;
        }
        Ok(())
    }

    /// A DIMM that was there as the guest booted.
    pub fn dimm_at_boot(&mut self, id: &str) -> Result<Dimm> {
        Ok(Dimm { id: id.to_owned(), address: self.address_of(id)? })
    }

    /// Adds a device and waits until the guest has taken it into use.
    pub(crate) fn plug(&mut self, device: Value) -> Result<()> {
        self.trace.so_far(&mut self.guest)?;
        self.qmp.execute("device_add", device.clone())?;
        let attempt = self.trace.addition(&mut self.guest)?;
        ensure!(attempt.errno == 0, "the guest does not take {device}: error {}", attempt.errno);
        Ok(())
    }

    fn address_of(&mut self, id: &str) -> Result<u64> {
        let devices = self.qmp.execute("query-memory-devices", json!({}))?;
        let data = devices.as_array().into_iter().flatten().filter_map(|device| device.get("data"));
        let ours = |data: &&Value| data.get("id").and_then(Value::as_str) == Some(id);
        data.clone().find(ours).and_then(|data| data.get("addr")?.as_u64()).with_context(|| format!("no DIMM {id}"))
    }
}
