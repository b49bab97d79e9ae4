// SPDX-License-Identifier: MIT OR Apache-2.0

//! Snapshots of a running VM, which are loaded into the same VM.

use crate::{deadline::Deadline, vm::Vm};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;

/// Block node that holds the snapshots.
const NODE: &str = "snapshots";

impl Vm {
    /// Saves a snapshot to a new file. The guest goes on.
    pub fn save_snapshot(&mut self, file: &Path) -> Result<()> {
        let file = file.to_str().context("the path of the snapshot is no UTF-8")?;
        let storage = "snapshots-file";
        self.run_job("blockdev-create", json!({ "options": { "driver": "file", "filename": file, "size": 0 } }))?;
        self.qmp.execute("blockdev-add", json!({ "driver": "file", "node-name": storage, "filename": file }))?;
        let image = json!({ "driver": "qcow2", "file": storage, "size": 1 << 20 });
        self.run_job("blockdev-create", json!({ "options": image }))?;
        self.qmp.execute("blockdev-add", json!({ "driver": "qcow2", "node-name": NODE, "file": storage }))?;
        self.run_job("snapshot-save", json!({ "tag": "test", "vmstate": NODE, "devices": [NODE] }))
    }

    /// Loads the snapshot that was saved.
    pub fn load_snapshot(&mut self) -> Result<()> {
        self.run_job("snapshot-load", json!({ "tag": "test", "vmstate": NODE, "devices": [NODE] }))?;
        self.qmp.execute("cont", json!({}))?;
        Ok(())
    }

    /// Runs a command that starts a job, and waits for the end of the job.
    fn run_job(&mut self, command: &str, mut arguments: Value) -> Result<()> {
        arguments["job-id"] = json!("snapshot");
        self.qmp.execute(command, arguments)?;
        let deadline = Deadline::start();
        loop {
            let jobs = self.qmp.execute("query-jobs", json!({}))?;
            if jobs[0]["status"] == "concluded" {
                self.qmp.execute("job-dismiss", json!({ "id": "snapshot" }))?;
                ensure!(jobs[0]["error"].is_null(), "{command}: {}", jobs[0]["error"]);
                return Ok(());
            }
            ensure!(!deadline.left().is_zero(), "{command} does not end: {jobs}");
        }
    }
}
