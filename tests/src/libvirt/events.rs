// SPDX-License-Identifier: MIT OR Apache-2.0

//! What libvirt tells, as `virsh` prints it: a line for each event.

use super::daemon::Daemon;
use crate::{
    deadline::Deadline,
    stream::{lines::Lines, log_file::LogFile},
};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::process::Child;

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    child: Child,
    lines: Lines,
    heard: Vec<Event>,
}

/// An event: `event NAME for domain 'guest': DETAIL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name, such as `device-removed` or `DEVICE_DELETED`.
    pub name: String,
    /// What it says.
    pub detail: String,
}

impl Events {
    /// libvirt's own events.
    pub fn of_domains(daemon: &Daemon, journal: LogFile) -> Result<Self> {
        Self::follow(daemon, &["event", "--all", "--loop"], journal)
    }

    /// QEMU's events, which libvirt passes on as they are.
    pub fn of_monitors(daemon: &Daemon, journal: LogFile) -> Result<Self> {
        Self::follow(daemon, &["qemu-monitor-event", "--loop", "--timestamp"], journal)
    }

    fn follow(daemon: &Daemon, words: &[&str], journal: LogFile) -> Result<Self> {
        let (child, lines) = daemon.follow(words, journal)?;
        Ok(Self { child, lines, heard: Vec::new() })
    }

    /// Whether an event of this name has come so far.
    pub fn have(&mut self, name: &str) -> bool {
        while let Some(line) = self.lines.ready() {
            self.heard.extend(Event::read(&line.text));
        }
        self.heard.iter().any(|event| event.name == name)
    }

    /// Waits for an event of this name about a device.
    pub fn wait_for(&mut self, name: &str, device: &str) -> Result<()> {
        let deadline = Deadline::start();
        while !self.about(device).iter().any(|event| event.name == name) {
            let line = self.lines.next(deadline).with_context(|| format!("waiting for {name} about {device}"))?;
            self.heard.extend(Event::read(&line.text));
        }
        Ok(())
    }

    /// The events about a device that have been waited for, in their order.
    pub fn about(&self, device: &str) -> Vec<&Event> {
        self.heard.iter().filter(|event| event.is_about(device)).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Event {
    fn read(line: &str) -> Option<Self> {
        let (_, event) = line.split_once("event ")?;
        let (name, rest) = event.split_once(" for domain '")?;
        let (_, detail) = rest.split_once("': ")?;
        Some(Self { name: name.trim_matches('\'').to_owned(), detail: detail.to_owned() })
    }

    /// A member of what QEMU says.
    pub fn member(&self, name: &str) -> Option<Value> {
        serde_json::from_str::<Value>(&self.detail).ok()?.get(name).cloned()
    }

    fn is_about(&self, device: &str) -> bool {
        // libvirt counts CPUs in its own event: `vcpu 1` for the device `vcpu1`.
        self.detail.replace("vcpu ", "vcpu") == device || self.member("device") == Some(device.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        Event::read(line).unwrap()
    }

    #[test]
    fn events_of_domains_are_read() {
        let failed = event("event 'device-removal-failed' for domain 'guest': dimm0");
        assert_eq!(failed, Event { name: "device-removal-failed".into(), detail: "dimm0".into() });
        assert!(failed.is_about("dimm0"));
        assert!(event("event 'vcpu-removed' for domain 'guest': vcpu 1").is_about("vcpu1"));
        assert_eq!(Event::read("events received: 4"), None);
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
