// SPDX-License-Identifier: MIT OR Apache-2.0

//! CPU cores.

use crate::{device::Device, vm::Vm};
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::{Value, json};

/// Core of the guest that was hot-plugged.
#[derive(Clone, Debug)]
pub struct Cpu {
    id: String,
    core: u32,
}

impl Device for Cpu {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Cpu {
    /// Returns the DRC index of the core.
    pub fn connector(&self) -> DrcIndex {
        // A DRC index of QEMU has the connector's type in its top four bits (1 for a CPU) and the core id below.
        DrcIndex(0x1000_0000 | self.core)
    }
}

impl Vm {
    /// Adds a core and waits until it is online in the guest.
    pub fn plug_cpu(&mut self, core: u32) -> Result<Cpu> {
        let possible = self.qmp.execute("query-hotpluggable-cpus", json!({}))?;
        let is_it = |slot: &&Value| slot.pointer("/props/core-id").and_then(Value::as_u64) == Some(core.into());
        let slot = possible.as_array().and_then(|slots| slots.iter().find(is_it)).context("no such core")?;
        let driver = slot.get("type").and_then(Value::as_str).context("a core without a type")?;
        self.devices += 1;
        let id = format!("cpu{}", self.devices);
        self.plug(json!({ "driver": driver, "id": id, "core-id": core }))?;
        Ok(Cpu { id, core })
    }

    /// Takes the boot core offline, so that a hot-plugged core becomes the last one online. (QEMU cannot unplug core 0
    /// itself.)
    pub fn put_boot_cpu_offline(&mut self) -> Result<()> {
        self.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online").map(drop)
    }

    /// Takes the boot core online again.
    pub fn put_boot_cpu_online(&mut self) -> Result<()> {
        self.guest.sh("echo 1 > /sys/devices/system/cpu/cpu0/online").map(drop)
    }
}
