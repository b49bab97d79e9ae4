// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ledger of requests: which are open, and how the others ended.

use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_qmp::message::Event;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Class of a device, with the VMM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Core.
    Cpu,
    /// DIMM.
    Memory,
}

/// Requests, by the numbers that the VMM gives them, and the count of each kind of end.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    open: BTreeMap<u64, (String, Class)>,
    last: u64,
    sent: BTreeMap<Class, u64>,
    ended: BTreeMap<(Class, String), u64>,
}

impl Ledger {
    /// Records a request that the VMM has accepted.
    pub fn sent(&mut self, device: &str, class: Class) {
        self.last += 1;
        self.open.insert(self.last, (device.to_owned(), class));
        *self.sent.entry(class).or_default() += 1;
    }

    /// Returns the number of the last request.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns the devices that have open requests, each once.
    pub fn requested(&self) -> Vec<(&str, Class)> {
        let mut devices: Vec<_> = self.open.values().map(|(device, class)| (device.as_str(), *class)).collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }

    /// Returns the number of open requests.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Returns the number of requests that were sent.
    pub fn total(&self) -> u64 {
        self.sent.values().sum()
    }

    /// Records an event. Returns the device that was deleted, if one was. Fails if the event ends a request that has
    /// ended before.
    pub fn record(&mut self, event: &Event, is_reset: bool) -> Result<Option<String>> {
        match (event.name(), event.device()) {
            ("DEVICE_UNPLUG_GUEST_ERROR", Some(device)) => {
                let number = event.data("request").and_then(Value::as_u64).context("a refusal without a request")?;
                let (requested, class) = self
                    .open
                    .remove(&number)
                    .with_context(|| format!("request {number} for {device} had ended, and is refused: {event:?}"))?;
                ensure!(requested == device, "request {number} was for {requested}, and is refused for {device}");
                let member = |name| event.data(name).and_then(Value::as_str).unwrap_or("nothing");
                self.ends(class, format!("refused, {}, {}", member("reason"), member("source")));
                Ok(None)
            }
            ("DEVICE_DELETED", Some(device)) => {
                let ended: Vec<u64> = self
                    .open
                    .iter()
                    .filter(|(_, (requested, _))| requested == device)
                    .map(|(number, _)| *number)
                    .collect();
                if ended.is_empty() {
                    bail!("{device} is deleted without a request");
                }
                for number in ended {
                    if let Some((_, class)) = self.open.remove(&number) {
                        self.ends(class, if is_reset { "closed by reset" } else { "released" }.to_owned());
                    }
                }
                Ok(Some(device.to_owned()))
            }
            _ => Ok(None),
        }
    }

    fn ends(&mut self, class: Class, how: String) {
        *self.ended.entry((class, how)).or_default() += 1;
    }

    /// Adds the counts of a ledger that has no open requests. Numbers begin again at 1.
    pub fn absorb(&mut self, other: Self) {
        for (class, count) in other.sent {
            *self.sent.entry(class).or_default() += count;
        }
        for (end, count) in other.ended {
            *self.ended.entry(end).or_default() += count;
        }
    }

    /// Returns whether as many requests ended as were sent, in each class.
    pub fn is_balanced(&self) -> bool {
        let ended = |class| self.ended.iter().filter(|((of, _), _)| *of == class).map(|(_, count)| count).sum::<u64>();
        self.sent.iter().all(|(class, sent)| *sent == ended(*class))
    }
}

/// One line for each class, and one for each kind of end.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (class, sent) in &self.sent {
            writeln!(f, "{class}: {sent} sent")?;
            for ((_, how), count) in self.ended.iter().filter(|((of, _), _)| of == class) {
                writeln!(f, "  {count:>6} {how}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use papr_unplug_qmp::message::Message;
    use serde_json::json;

    fn event(name: &str, data: &Value) -> Event {
        let line = json!({ "event": name, "data": data, "timestamp": {} }).to_string();
        match Message::parse(&line) {
            Ok(Message::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    fn refused(device: &str, request: u64) -> Event {
        let data = json!({ "device": device, "request": request, "reason": "last-cpu", "source": "inferred" });
        event("DEVICE_UNPLUG_GUEST_ERROR", &data)
    }

    #[test]
    fn each_request_ends_once_and_a_deletion_ends_all_of_a_device() {
        let mut ledger = Ledger::default();
        ledger.sent("cpu1", Class::Cpu);
        ledger.sent("cpu1", Class::Cpu);
        ledger.sent("dimm2", Class::Memory);
        assert_eq!(ledger.record(&refused("cpu1", 1), false).unwrap(), None);
        assert!(ledger.record(&refused("cpu1", 1), false).is_err());
        assert!(ledger.record(&refused("cpu1", 3), false).is_err());
        let deleted = event("DEVICE_DELETED", &json!({ "device": "cpu1" }));
        assert_eq!(ledger.record(&deleted, false).unwrap().as_deref(), Some("cpu1"));
        assert!(ledger.record(&deleted, false).is_err());
    }

    #[test]
    fn tally_says_how_each_class_ended_and_is_balanced_when_nothing_is_open() {
        let mut ledger = Ledger::default();
        ledger.sent("dimm1", Class::Memory);
        ledger.sent("cpu2", Class::Cpu);
        ledger.record(&refused("cpu2", 2), false).unwrap();
        assert!(!ledger.is_balanced());
        ledger.record(&event("DEVICE_DELETED", &json!({ "device": "dimm1" })), true).unwrap();
        assert!(ledger.is_balanced());
        let expected = "cpu: 1 sent\n       1 refused, last-cpu, inferred\nmemory: 1 sent\n       1 closed by reset\n";
        assert_eq!(ledger.to_string(), expected);
    }
}
