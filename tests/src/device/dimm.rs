// SPDX-License-Identifier: MIT OR Apache-2.0

//! DIMMs.

use crate::{device::Device, observe::trace::Attempt, removal::Outcome, vm::Vm};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::{Value, json};

/// Size of a logical memory block (LMB), in bytes: 256 MiB in QEMU. The guest's memory blocks have the same size.
pub const LMB: u64 = 256 << 20;
/// Size of the smallest DIMM, in bytes.
pub const ONE_LMB: u64 = LMB;
/// Size of a DIMM of which the guest can give back one LMB and refuse the other, in bytes.
pub const TWO_LMBS: u64 = 2 * LMB;

/// DIMM in the guest.
#[derive(Clone, Debug)]
pub struct Dimm {
    id: String,
    /// Guest physical address.
    address: u64,
}

impl Device for Dimm {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Dimm {
    /// Returns the number of the memory block that holds the first LMB, as in `/sys/devices/system/memory/memoryN`.
    pub fn first_block(&self) -> u64 {
        self.address / LMB
    }

    /// Returns the DRC index of an LMB; `lmb` counts from 0.
    pub fn connector(&self, lmb: u32) -> DrcIndex {
        // A DRC index of QEMU has the connector's type in its top four bits (8 for an LMB) and the LMB's number below.
        DrcIndex(0x8000_0000 + self.first_block() as u32 + lmb)
    }
}

/// Returns the id of a DIMM's memory backend.
fn backend(dimm: &str) -> String {
    format!("{dimm}-ram")
}

impl Vm {
    /// Adds a DIMM of `size` bytes and waits until it is online in the guest.
    pub fn plug_dimm(&mut self, size: u64) -> Result<Dimm> {
        self.plug_dimm_into(0, size)
    }

    /// Adds a DIMM of `size` bytes to a NUMA node and waits until it is online in the guest.
    pub fn plug_dimm_into(&mut self, node: u32, size: u64) -> Result<Dimm> {
        let (dimm, attempt) = self.add_dimm(node, size)?;
        ensure!(attempt.errno == 0, "the guest cannot add {}: error {}", dimm.id, attempt.errno);
        Ok(dimm)
    }

    /// Adds a DIMM of `size` bytes, which the guest must fail to take into use.
    pub fn plug_dimm_that_fails(&mut self, size: u64) -> Result<Dimm> {
        let (dimm, attempt) = self.add_dimm(0, size)?;
        ensure!(attempt.errno != 0, "the guest has added {}", dimm.id);
        Ok(dimm)
    }

    /// Adds a DIMM of `size` bytes and requests it at once, and waits for its deletion. The guest may not have taken
    /// the hot plug events by then.
    pub fn add_and_delete_dimm(&mut self, size: u64) -> Result<()> {
        let id = self.add_dimm_unconfigured(size)?;
        let removal = self.remove_untraced(&id)?;
        ensure!(removal.outcome == Outcome::Released, "{id} was {}", removal.outcome);
        self.forget(&id)
    }

    /// Adds a DIMM of `size` bytes and returns its id. Does not wait for the guest.
    pub fn add_dimm_unconfigured(&mut self, size: u64) -> Result<String> {
        let (id, device) = self.back_dimm(0, size)?;
        self.qmp.execute("device_add", device)?;
        Ok(id)
    }

    /// Waits until the guest has configured a device. Attempts that fail are skipped.
    pub fn await_configured(&mut self) -> Result<()> {
        while self.trace.addition(&mut self.guest)?.errno != 0 {}
        Ok(())
    }

    /// Adds the memory backend of a DIMM. Returns the id of the DIMM, and the arguments of `device_add`.
    fn back_dimm(&mut self, node: u32, size: u64) -> Result<(String, Value)> {
        self.devices += 1;
        let id = format!("dimm{}", self.devices);
        let backend = backend(&id);
        // Without `reserve` a large DIMM needs no more memory of the host than the guest touches.
        let ram = json!({ "qom-type": "memory-backend-ram", "id": backend, "size": size, "reserve": false });
        self.qmp.execute("object-add", ram)?;
        let device = json!({ "driver": "pc-dimm", "id": id, "memdev": backend, "node": node });
        Ok((id, device))
    }

    fn add_dimm(&mut self, node: u32, size: u64) -> Result<(Dimm, Attempt)> {
        let (id, device) = self.back_dimm(node, size)?;
        let attempt = self.add(device)?;
        let address = self.address_of(&id)?;
        Ok((Dimm { id, address }, attempt))
    }

    /// Deletes the memory backend of a DIMM that was released. Does nothing for other devices.
    pub fn forget(&mut self, device: &(impl Device + ?Sized)) -> Result<()> {
        let backend = backend(device.id());
        let objects = self.qmp.execute("qom-list", json!({ "path": "/objects" }))?;
        if objects.as_array().into_iter().flatten().any(|object| object["name"] == *backend) {
            self.qmp.execute("object-del", json!({ "id": backend }))?;
        }
        Ok(())
    }

    /// Returns a DIMM that was on QEMU's command line.
    pub fn dimm_at_boot(&mut self, id: &str) -> Result<Dimm> {
        Ok(Dimm { id: id.to_owned(), address: self.address_of(id)? })
    }

    /// Adds a device and waits until the guest has configured it.
    pub(crate) fn plug(&mut self, device: Value) -> Result<()> {
        let attempt = self.add(device.clone())?;
        ensure!(attempt.errno == 0, "the guest cannot add {device}: error {}", attempt.errno);
        Ok(())
    }

    /// Adds a device and waits for the end of the guest's attempt to configure it.
    fn add(&mut self, device: Value) -> Result<Attempt> {
        self.trace.so_far(&mut self.guest)?;
        self.qmp.execute("device_add", device)?;
        self.trace.addition(&mut self.guest)
    }

    fn address_of(&mut self, id: &str) -> Result<u64> {
        let devices = self.qmp.execute("query-memory-devices", json!({}))?;
        let data = devices.as_array().into_iter().flatten().filter_map(|device| device.get("data"));
        let ours = |data: &&Value| data.get("id").and_then(Value::as_str) == Some(id);
        data.clone().find(ours).and_then(|data| data.get("addr")?.as_u64()).with_context(|| format!("no DIMM {id}"))
    }
}
