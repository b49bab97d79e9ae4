// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest that goes from one VMM to another while it runs.

use crate::{
    artifacts::Artifacts,
    pairing::{Pairing, Side},
    stream::log_file::LogFile,
    vm::{self, Vm},
    vmm::{
        machine::Machine,
        qemu::{Qemu, Start},
        qmp::Qmp,
    },
};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// The newest machine that both VMMs have, as ours may be an older QEMU than the stock one: who is to migrate boots with it.
pub const COMMON: [&str; 2] = ["-machine", "pseries-10.0"];

impl Vm {
    /// Boots a VM that can migrate. Its logs go to `target/vm/NAME`.
    pub fn migratable(artifacts: &Artifacts, pairing: Pairing, name: &str) -> Result<Self> {
        Self::launch_as(artifacts, pairing, Machine::Pseries, &Start::with_options(COMMON), name)?.up()
    }

    /// Has the guest go to a VMM of this side, whose logs go to `target/vm/NAME`. The VMM before ends.
    pub fn migrate(mut self, artifacts: &Artifacts, vmm: Side, name: &str) -> Result<Self> {
        let logs = vm::fresh(&vm::logs(name))?;
        let mut options: Vec<String> = COMMON.map(str::to_owned).to_vec();
        options.extend(self.what_was_plugged()?);
        options.extend(["-incoming".to_owned(), "defer".to_owned()]);
        let there = Qemu::start(artifacts, vmm, Machine::Pseries, &Start::with_options(options), &logs)?;
        let journal = LogFile::create(&logs.join("qmp.log")).context("cannot write qmp.log")?;
        let mut qmp = Qmp::greet(there.monitor.try_clone()?, journal)?;

        // A CPU that has ceded itself as it leaves is not woken any more where it arrives, in QEMU 11.1.2 at least: interrupts
        // are pending there, and it stays halted.
        self.guest.sh("{ while :; do :; done & } ; awake=$!")?;
        let socket = logs.join("migration");
        let uri = json!({ "uri": format!("unix:{}", socket.display()) });
        qmp.execute("migrate-incoming", uri.clone())?;
        // No link has to be spared.
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
        self.guest.sh("kill $awake")?;
        Ok(self)
    }

    /// Waits until the migration has ended, well or badly.
    fn await_migration(&mut self) -> Result<()> {
        loop {
            let state = self.qmp.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed") => bail!("the migration failed: {state}"),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// The options that give another VMM the devices that were plugged into this one.
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
