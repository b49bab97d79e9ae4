// SPDX-License-Identifier: MIT OR Apache-2.0

//! Promises and open requests, as the patched QEMU lists them.

use crate::{deadline::Deadline, device::Device, vm::Vm};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Classes that our QEMU offers, all of which the module arms.
pub const CLASSES: [&str; 4] = ["cpu", "memory", "phb", "pci"];

impl Vm {
    /// Returns the classes that the guest has armed.
    pub fn armed(&mut self) -> Result<Value> {
        Ok(self.qmp.execute("query-device-unplug-requests", json!({}))?["armed"].take())
    }

    /// Returns the open requests.
    pub fn pending(&mut self) -> Result<Value> {
        Ok(self.qmp.execute("query-device-unplug-requests", json!({}))?["requests"].take())
    }

    /// Waits until the guest has begun with every open request for this device.
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

    /// Waits until the guest has armed exactly these classes.
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
