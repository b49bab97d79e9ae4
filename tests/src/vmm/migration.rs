// SPDX-License-Identifier: MIT OR Apache-2.0

//! Live migration of a guest from one VMM to another.

use crate::{
    artifacts::Artifacts,
    pairing::{Pairing, Side},
    stream::log_file::LogFile,
    vm::{self, Vm},
    vmm::{machine::Machine, qemu::Start, qmp::Qmp},
};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::{thread, time::Duration};

/// Newest machine type that both VMMs have: the patched QEMU may be older than the stock one.
pub const COMMON: [&str; 2] = ["-machine", "pseries-10.0"];

/// Time between looks at a migration.
const POLL: Duration = Duration::from_millis(10);

impl Vm {
    /// Boots a VM that can migrate. Logs go to `target/vm/NAME`.
    pub fn migratable(artifacts: &Artifacts, pairing: Pairing, name: &str) -> Result<Self> {
        Self::migratable_as(artifacts, pairing, Start::default(), name)
    }

    /// Like [`Self::migratable`], with these options.
    pub fn migratable_as(artifacts: &Artifacts, pairing: Pairing, mut start: Start, name: &str) -> Result<Self> {
        start.options.extend(COMMON.map(str::to_owned));
        Self::launch_as(artifacts, pairing, Machine::Pseries, &start, name)?.up()
    }

    /// Migrates the guest to a VMM of this side and ends the old VMM. Logs of the new one go to `target/vm/NAME`.
    pub fn migrate(mut self, artifacts: &Artifacts, vmm: Side, name: &str) -> Result<Self> {
        let logs = vm::empty_directory(&vm::logs(name))?;
        let mut start = self.start.clone();
        start.options.extend(self.what_was_plugged()?);
        start.options.extend(["-incoming".to_owned(), "defer".to_owned()]);
        let there = self.qemu.start_beside(artifacts, vmm, Machine::Pseries, &start, &logs)?;
        let log_file = LogFile::create(&logs.join("qmp.log")).context("cannot write qmp.log")?;
        let mut qmp = Qmp::connect(there.monitor.try_clone()?, log_file)?;

        // A CPU that is ceded (H_CEDE) while it migrates stays halted afterwards although interrupts are pending, at
        // least with QEMU 11.1.2. So the guest is kept busy. Under KVM
        // a loop takes the only CPU of the host from the migration (ADR 0081).
        let is_emulated = self.qemu.kvm_host().is_none();
        if is_emulated {
            self.guest.sh("{ while :; do :; done & } ; awake=$!")?;
        }
        let socket = there.shared_socket(&logs);
        let uri = json!({ "uri": format!("unix:{}", socket.display()) });
        qmp.execute("migrate-incoming", uri.clone())?;
        // The default limits the bandwidth to spare a real network.
        self.qmp.execute("migrate-set-parameters", json!({ "max-bandwidth": 1_u64 << 40 }))?;
        self.qmp.execute("migrate", uri)?;
        self.await_migration()?;
        let moment = qmp.moment();
        if qmp.execute("query-status", json!({}))?["status"] != "running" {
            qmp.wait_for(moment, "the guest to run on", |event| event.name() == "RESUME")?;
        }

        self.guest = self.guest.move_to(there.shell.try_clone()?)?;
        self.console = self.console.move_to(&there.console)?;
        self.pairing.vmm = vmm;
        self.qmp = qmp;
        self.qemu = there;
        if is_emulated {
            self.guest.sh("kill $awake")?;
        }
        Ok(self)
    }

    /// Waits for the end of the migration, and fails if it failed.
    fn await_migration(&mut self) -> Result<()> {
        loop {
            let state = self.qmp.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed") => bail!("the migration failed: {state}"),
                // The VMM may share its CPU with the migration.
                _ => thread::sleep(POLL),
            }
        }
    }

    /// Returns the options that give another VMM the devices that were hot-plugged into this one.
    fn what_was_plugged(&mut self) -> Result<Vec<String>> {
        let mut options = Vec::new();
        let mut add = |option: &str, value: &Value| options.extend([option.to_owned(), value.to_string()]);
        for device in self.qmp.execute("query-memory-devices", json!({}))?.as_array().into_iter().flatten() {
            let data = &device["data"];
            let backend = data["memdev"].as_str().and_then(|path| path.rsplit('/').next()).context("no backend")?;
            add("-object", &json!({ "qom-type": "memory-backend-ram", "id": backend, "size": data["size"] }));
            let dimm = json!({
                "driver": "pc-dimm", "id": data["id"], "memdev": backend, "node": data["node"], "addr": data["addr"],
                "slot": data["slot"],
            });
            add("-device", &dimm);
        }
        for slot in self.qmp.execute("query-hotpluggable-cpus", json!({}))?.as_array().into_iter().flatten() {
            let id = slot["qom-path"].as_str().and_then(|path| path.strip_prefix("/machine/peripheral/"));
            if let Some(id) = id {
                add("-device", &json!({ "driver": slot["type"], "id": id, "core-id": slot["props"]["core-id"] }));
            }
        }
        Ok(options)
    }
}
