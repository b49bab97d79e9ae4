// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events as `virsh` prints them, one a line.

use super::daemon::Daemon;
use crate::{
    deadline::Deadline,
    stream::{lines::Lines, log_file::LogFile},
};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::process::Child;

/// Stream of events.
#[derive(Debug)]
pub struct Events {
    child: Child,
    lines: Lines,
    heard: Vec<LibvirtEvent>,
}

/// Event, from a line `event NAME for domain 'guest': DETAIL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibvirtEvent {
    /// Name, such as `device-removed` or `DEVICE_DELETED`.
    pub name: String,
    /// Detail; for an event of QEMU its data, as JSON.
    pub detail: String,
}

impl Events {
    /// Listens to the events of libvirt.
    pub fn of_domains(daemon: &Daemon, log_file: LogFile) -> Result<Self> {
        Self::follow(daemon, &["event", "--all", "--loop"], log_file)
    }

    /// Listens to the events of QEMU, which libvirt passes on unchanged.
    pub fn of_monitors(daemon: &Daemon, log_file: LogFile) -> Result<Self> {
        Self::follow(daemon, &["qemu-monitor-event", "--loop", "--timestamp"], log_file)
    }

    fn follow(daemon: &Daemon, words: &[&str], log_file: LogFile) -> Result<Self> {
        let (child, lines) = daemon.follow(words, log_file)?;
        Ok(Self { child, lines, heard: Vec::new() })
    }

    /// Returns whether an event of this name has come.
    pub fn has(&mut self, name: &str) -> bool {
        while let Some(line) = self.lines.ready() {
            self.heard.extend(LibvirtEvent::parse(&line.text));
        }
        self.heard.iter().any(|event| event.name == name)
    }

    /// Waits for an event of this name about a device.
    pub fn wait_for(&mut self, name: &str, device: &str) -> Result<()> {
        let deadline = Deadline::start();
        while !self.about(device).iter().any(|event| event.name == name) {
            let line = self.lines.next(deadline).with_context(|| format!("waiting for {name} about {device}"))?;
            self.heard.extend(LibvirtEvent::parse(&line.text));
        }
        Ok(())
    }

    /// Returns the events about a device that were read, in order.
    pub fn about(&self, device: &str) -> Vec<&LibvirtEvent> {
        self.heard.iter().filter(|event| event.is_about(device)).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl LibvirtEvent {
    fn parse(line: &str) -> Option<Self> {
        let (_, event) = line.split_once("event ")?;
        let (name, rest) = event.split_once(" for domain '")?;
        let (_, detail) = rest.split_once("': ")?;
        Some(Self { name: name.trim_matches('\'').to_owned(), detail: detail.to_owned() })
    }

    /// Returns a member of the data of an event of QEMU.
    pub fn member(&self, name: &str) -> Option<Value> {
        serde_json::from_str::<Value>(&self.detail).ok()?.get(name).cloned()
    }

    fn is_about(&self, device: &str) -> bool {
        // libvirt's own event about CPUs has a number (`vcpu 1`) where the alias is `vcpu1`.
        self.detail.replace("vcpu ", "vcpu") == device || self.member("device") == Some(device.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> LibvirtEvent {
        LibvirtEvent::parse(line).unwrap()
    }

    #[test]
    fn events_of_domains_are_read() {
        let failed = event("event 'device-removal-failed' for domain 'guest': dimm0");
        assert_eq!(failed, LibvirtEvent { name: "device-removal-failed".into(), detail: "dimm0".into() });
        assert!(failed.is_about("dimm0"));
        assert!(event("event 'vcpu-removed' for domain 'guest': vcpu 1").is_about("vcpu1"));
        assert_eq!(LibvirtEvent::parse("events received: 4"), None);
    }

    #[test]
    fn events_of_monitors_are_read() {
        let line = "2026-11-23 06:40:38.948+0000: event DEVICE_UNPLUG_GUEST_ERROR for domain 'guest': \
                    {\"device\":\"dimm0\",\"path\":\"/machine/peripheral/dimm0\",\"reason\":\"unmovable-page\"}";
        assert!(event(line).is_about("dimm0"));
        assert_eq!(event(line).member("reason"), Some("unmovable-page".into()));
        assert_eq!(event(line).name, "DEVICE_UNPLUG_GUEST_ERROR");
    }
}
