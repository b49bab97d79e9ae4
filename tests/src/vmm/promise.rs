// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a guest has promised our VMM, and what it has not answered yet.

use crate::{deadline::Deadline, device::Device, vm::Vm};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

impl Vm {
    /// The classes whose requests the guest has promised to answer.
    pub fn armed(&mut self) -> Result<Value> {
        Ok(self.qmp.execute("query-device-unplug-requests", json!({}))?["armed"].take())
    }

    /// The requests that are open.
    pub fn pending(&mut self) -> Result<Value> {
        Ok(self.qmp.execute("query-device-unplug-requests", json!({}))?["requests"].take())
    }

    /// Waits until the guest has begun with every request for this device that is open.
    pub fn await_begun(&mut self, device: &(impl Device + ?Sized)) -> Result<()> {
        let deadline = Deadline::start();
        loop {
            let open = self.pending()?;
            let waits = |request: &Value| request["device"] == json!(device.id()) && request["started"] == json!(false);
            if !open.as_array().is_some_and(|requests| requests.iter().any(waits)) {
                return Ok(());
            }
            ensure!(!deadline.left().is_zero(), "the guest has not begun with {}: {open}", device.id());
        }
    }

    /// Waits until the guest has promised answers about just these classes.
    pub fn await_armed(&mut self, classes: &[&str]) -> Result<()> {
        let deadline = Deadline::start();
        loop {
            let armed = self.armed()?;
            if armed == json!(classes) {
                return Ok(());
            }
            ensure!(!deadline.left().is_zero(), "the guest has promised answers about {armed:?}, not {classes:?}");
        }
    }
}
