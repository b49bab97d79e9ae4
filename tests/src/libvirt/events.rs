// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events as `virsh` prints them, one a line.

use super::daemon::Daemon;
use crate::{
    deadline::Deadline,
    stream::{lines::Lines, log_file::LogFile},
};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::{process::Child, time::Duration};

/// Stream of events.
#[derive(Debug)]
pub struct Events {
    child: Child,
    lines: Lines,
    heard: Vec<LibvirtEvent>,
}

/// Event, from a line `event NAME for domain 'guest': DETAIL`, where the name of QEMU's is followed by `at TIME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibvirtEvent {
    /// Time since 1970 by the host's clock, of QEMU's events.
    pub time: Option<Duration>,
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
        Self::follow(daemon, &["qemu-monitor-event", "--loop"], log_file)
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
        self.number_of(name) > 0
    }

    /// Returns how many events of this name were read.
    pub fn number_of(&self, name: &str) -> usize {
        self.heard.iter().filter(|event| event.name == name).count()
    }

    /// Waits until this many events of this name were read.
    pub fn await_number(&mut self, name: &str, number: usize) -> Result<()> {
        let deadline = Deadline::start();
        while self.number_of(name) < number {
            let line = self.lines.next(deadline).with_context(|| format!("waiting for {name}"))?;
            self.heard.extend(LibvirtEvent::parse(&line.text));
        }
        Ok(())
    }

    /// Waits for an event of this name about a device.
    pub fn wait_for(&mut self, name: &str, device: &str) -> Result<()> {
        self.wait_for_nth(name, device, 1).map(drop)
    }

    /// Waits for the `nth` event of this name about a device, from 1 on.
    pub fn wait_for_nth(&mut self, name: &str, device: &str, nth: usize) -> Result<LibvirtEvent> {
        let deadline = Deadline::start();
        loop {
            let mut events = self.about(device).into_iter().filter(|event| event.name == name);
            if let Some(event) = events.nth(nth - 1) {
                return Ok(event.clone());
            }
            let line = self.lines.next(deadline).with_context(|| format!("waiting for {name} about {device}"))?;
            self.heard.extend(LibvirtEvent::parse(&line.text));
        }
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
        let (name, time) = match name.split_once(" at ") {
            Some((name, time)) => (name, time.parse().ok().and_then(|time| Duration::try_from_secs_f64(time).ok())),
            None => (name, None),
        };
        Some(Self { time, name: name.trim_matches('\'').to_owned(), detail: detail.to_owned() })
    }

    /// Returns a member of the data of an event of QEMU.
    pub fn member(&self, name: &str) -> Option<Value> {
        serde_json::from_str::<Value>(&self.detail).ok()?.get(name).cloned()
    }

    fn is_about(&self, device: &str) -> bool {
        // libvirt's own event about CPUs has a number (`vcpu 1`) where the alias is `vcpu1`; one with a reason has that
        // behind the alias.
        let alias = self.detail.replace("vcpu ", "vcpu");
        let alias = alias.split_once(" due to ").map_or(alias.as_str(), |(alias, _)| alias);
        alias == device || self.member("device") == Some(device.into())
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
        assert_eq!(failed, LibvirtEvent { time: None, name: "device-removal-failed".into(), detail: "dimm0".into() });
        assert!(failed.is_about("dimm0"));
        assert!(event("event 'vcpu-removed' for domain 'guest': vcpu 1").is_about("vcpu1"));
        let with_reason = event("event 'device-removal-failed-reason' for domain 'guest': dimm0 due to 'memory-veto'");
        assert!(with_reason.is_about("dimm0") && !with_reason.is_about("dimm"));
        assert_eq!(LibvirtEvent::parse("events received: 4"), None);
    }

    #[test]
    fn events_of_monitors_are_read() {
        let line = "event DEVICE_UNPLUG_GUEST_ERROR at 1764433838.948123 for domain 'guest': \
                    {\"device\":\"dimm0\",\"path\":\"/machine/peripheral/dimm0\",\"reason\":\"unmovable-page\"}";
        assert!(event(line).is_about("dimm0"));
        assert_eq!(event(line).member("reason"), Some("unmovable-page".into()));
        assert_eq!(event(line).name, "DEVICE_UNPLUG_GUEST_ERROR");
        assert_eq!(event(line).time.map(|time| time.as_millis()), Some(1_764_433_838_948));
    }
}
