// SPDX-License-Identifier: MIT OR Apache-2.0

//! Snapshots of QEMU, its list of requests, and what it tells about them.

use super::{Running, Vmm};
use crate::{
    keeper::{Ending, Keeper, List, Told},
    machine::Device,
    monitor::Reply,
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::deadline::Deadline;
use serde_json::{Value, json};

impl Vmm {
    /// Executes a QMP command that is no step, and that succeeds.
    pub fn done(&mut self, command: &str, arguments: Value) -> Result<Value> {
        match self.execute(command, arguments)? {
            Reply::Done(value) => Ok(value),
            other => bail!("{command}: {other:?}"),
        }
    }

    /// Runs a job to its end.
    pub fn job(&mut self, command: &str, mut arguments: Value) -> Result<()> {
        arguments["job-id"] = json!("job");
        self.done(command, arguments)?;
        let deadline = Deadline::start();
        loop {
            let jobs = self.done("query-jobs", json!({}))?;
            let Some(job) = jobs.as_array().and_then(|jobs| jobs.first()) else { bail!("{command}: the job is gone") };
            if job["status"] == "concluded" {
                ensure!(job["error"].is_null(), "{command}: {job}");
                return self.done("job-dismiss", json!({ "id": "job" })).map(drop);
            }
            ensure!(!deadline.left().is_zero(), "{command}: {job}");
            std::thread::yield_now();
        }
    }

    /// Adds a disk that snapshots are written to, unless there is one.
    fn add_disk(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_disk, true) {
            return Ok(());
        }
        let Running { process, .. } = self.running.as_ref().context("the VMM is gone")?;
        let file = process.dir().join("disk");
        self.job("blockdev-create", json!({ "options": { "driver": "file", "filename": file, "size": 0 } }))?;
        self.done("blockdev-add", json!({ "driver": "file", "node-name": "file", "filename": file }))?;
        self.job("blockdev-create", json!({ "options": { "driver": "qcow2", "file": "file", "size": 1 << 20 } }))?;
        let cache = json!({ "no-flush": true });
        self.done("blockdev-add", json!({ "driver": "qcow2", "node-name": "disk", "file": "file", "cache": cache }))?;
        Ok(())
    }

    /// Saves a snapshot in the place of an earlier one.
    pub fn save_snapshot(&mut self) -> Result<()> {
        self.add_disk()?;
        if std::mem::replace(&mut self.has_snapshot, true) {
            self.job("snapshot-delete", json!({ "tag": "state", "devices": ["disk"] }))?;
        }
        self.job("snapshot-save", json!({ "tag": "state", "vmstate": "disk", "devices": ["disk"] }))
    }

    /// Loads the snapshot.
    pub fn load_snapshot(&mut self) -> Result<()> {
        self.job("snapshot-load", json!({ "tag": "state", "vmstate": "disk", "devices": ["disk"] }))?;
        // What a load ends is told when the next command finds the load done.
        self.done("query-device-unplug-requests", json!({}))?;
        self.take_device_events()?;
        self.touched.extend(Device::ALL);
        Ok(())
    }
}

impl Keeper for Vmm {
    fn made(&self) -> Option<u64> {
        self.made
    }

    fn told(&self) -> Vec<Told> {
        self.events.iter().flat_map(told).collect()
    }

    fn list(&mut self) -> Result<List> {
        let answer = self.done("query-device-unplug-requests", json!({}))?;
        let rows = |name: &str| answer[name].as_array().cloned().context("no list");
        let number = |row: &Value| row["request"].as_u64().context("a request without a number");
        let request = |row: &Value| {
            let device = row["device"].as_str().and_then(Device::of_id).context("a request without a device")?;
            Ok((number(row)?, device, row["withheld"] == true))
        };
        let open = rows("requests")?.iter().map(request).collect::<Result<_>>()?;
        Ok(List { open, ended: rows("outcomes")?.iter().map(number).collect::<Result<_>>()? })
    }

    fn withdraw(&mut self, request: u64) -> Result<bool> {
        let reply = self.execute("device-unplug-withdraw", json!({ "request": request }))?;
        self.take_device_events()?;
        Ok(matches!(reply, Reply::Done(_)))
    }

    fn save(&mut self) -> Result<()> {
        self.save_snapshot()
    }

    fn load(&mut self) -> Result<()> {
        self.load_snapshot()
    }

    fn migrate(&mut self) -> Result<()> {
        let program = self.program.clone();
        let other = self.migrate_to(&program)?;
        *self = other;
        self.touched.extend(Device::ALL);
        Ok(())
    }
}

/// Returns what an event says about requests.
fn told(event: &Event) -> Vec<Told> {
    let Some(device) = event.device().and_then(Device::of_id) else { return Vec::new() };
    let number = event.data("request").and_then(Value::as_u64);
    let ended = |how| number.map(|number| Told::Ended(number, device, how)).into_iter().collect();
    match event.name() {
        "DEVICE_UNPLUG_GUEST_ERROR" => {
            ended(Ending::Refused(event.data("source").is_some_and(|source| source == "reported-by-token")))
        }
        "DEVICE_UNPLUG_REQUEST_ENDED" => {
            let is_load = event.data("outcome").is_some_and(|outcome| outcome == "load");
            ended(if is_load { Ending::Load } else { Ending::Withdrawn })
        }
        "DEVICE_DELETED" => {
            let requests = event.data("requests").and_then(Value::as_array).into_iter().flatten();
            let ended = requests.filter_map(Value::as_u64).map(|number| Told::Ended(number, device, Ending::Gone));
            ended.chain([Told::Deleted(device)]).collect()
        }
        _ => Vec::new(),
    }
}
