// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest module: loading, parameters, debugfs files and probes.

use crate::{observe::trace::Trace, vm::Vm};
use anyhow::{Context as _, Result};
use std::{collections::BTreeMap, str::FromStr};

/// The module's directory in debugfs.
const DIRECTORY: &str = "/sys/kernel/debug/papr_unplug";

/// Counters of the module, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

/// Line of the file `refusals`, as its `name=value` members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalLine(BTreeMap<String, String>);

/// Line of the file `probes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Probed function.
    pub symbol: String,
    /// State: `active missed=N` or `absent`.
    pub state: String,
}

impl Counters {
    /// Returns the value of a counter.
    ///
    /// # Panics
    ///
    /// If the module has no such counter.
    #[track_caller]
    pub fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("there is no counter {name} in {self:?}"))
    }

    /// Returns the counters that are not zero, by name, without `missed_events`: whether an event comes while a probe
    /// runs is up to chance.
    pub fn nonzero(&self) -> Vec<(&str, u64)> {
        let is_certain = |(name, value): &(&String, &u64)| **value != 0 && *name != "missed_events";
        self.0.iter().filter(is_certain).map(|(name, value)| (name.as_str(), *value)).collect()
    }
}

impl FromStr for Counters {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let counter = |line: &str| {
            let (name, value) = line.split_once(' ').with_context(|| format!("this is no counter: {line}"))?;
            Ok((name.to_owned(), value.parse().with_context(|| format!("this is no counter: {line}"))?))
        };
        text.lines().map(counter).collect::<Result<_>>().map(Self)
    }
}

impl RefusalLine {
    /// Returns the value of a member, if the line has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromStr for RefusalLine {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let member = |word: &str| {
            let (name, value) = word.split_once('=').with_context(|| format!("this is no refusal: {line}"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        line.split_whitespace().map(member).collect::<Result<_>>().map(Self)
    }
}

impl Vm {
    /// Loads the module.
    pub fn load_module(&mut self) -> Result<()> {
        self.insert("papr_unplug.ko")
    }

    /// Loads the module with parameters.
    pub fn load_module_with(&mut self, parameters: &str) -> Result<()> {
        self.insert(&format!("papr_unplug.ko {parameters}"))
    }

    /// Loads the standalone build, which is for kernels without `CONFIG_RUST`.
    pub fn load_standalone_module(&mut self) -> Result<()> {
        self.insert("standalone/papr_unplug.ko")
    }

    fn insert(&mut self, module: &str) -> Result<()> {
        // The tests' kernels have the fix without which kprobes can crash a preemptible kernel.
        self.guest.sh(&format!("insmod /lib/modules/{module} unsafe_kprobes=1"))?;
        Trace::trace_after_module(&mut self.guest)
    }

    /// Unloads the module.
    pub fn unload_module(&mut self) -> Result<()> {
        self.guest.sh("rmmod papr_unplug").map(drop)
    }

    /// Reads the counters.
    pub fn counters(&mut self) -> Result<Counters> {
        self.guest.sh(&format!("cat {DIRECTORY}/counters"))?.parse()
    }

    /// Waits until a counter has this value.
    pub fn await_counter(&mut self, name: &str, value: u32) -> Result<()> {
        let wait = format!("until grep -q '^{name} {value}$' {DIRECTORY}/counters; do :; done");
        self.guest.sh(&wait).map(drop)
    }

    /// Reads the last refusals, oldest first.
    pub fn refusals(&mut self) -> Result<Vec<RefusalLine>> {
        self.guest.sh(&format!("cat {DIRECTORY}/refusals"))?.lines().map(str::parse).collect()
    }

    /// Reads the states of the probes.
    pub fn probes(&mut self) -> Result<Vec<Probe>> {
        let text = self.guest.sh(&format!("cat {DIRECTORY}/probes"))?;
        let probe = |line: &str| {
            let (symbol, state) = line.split_once(' ').with_context(|| format!("this is no probe: {line}"))?;
            Ok(Probe { symbol: symbol.to_owned(), state: state.to_owned() })
        };
        text.lines().map(probe).collect()
    }

    /// Returns all functions of the kernel that have a kprobe or a tracer, whoever put it there. A function that has
    /// both is there twice.
    pub fn probed_places(&mut self) -> Result<Vec<String>> {
        // Addresses differ from boot to boot, and the end of a line says whether the kprobe is optimised by now.
        let kprobes = "while read address kind place rest; do echo $place; done < /sys/kernel/debug/kprobes/list";
        let traced = "while read place rest; do echo $place; done < /sys/kernel/tracing/enabled_functions";
        let mut places: Vec<String> =
            self.guest.sh(&format!("{kprobes}; {traced}"))?.lines().map(str::to_owned).collect();
        places.sort();
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let counters: Counters = "requests 3\nreleased 0\nrefused 3\n".parse().unwrap();
        assert_eq!(counters.get("requests"), 3);
        assert_eq!(counters.nonzero(), [("refused", 3), ("requests", 3)]);
        assert!("requests".parse::<Counters>().is_err());
    }

    #[test]
    fn refusal_without_an_lmb_has_none() {
        let refusal: RefusalLine = "seq=2 resource=cpu connector=0x10000001 errno=-22 told=kernel".parse().unwrap();
        assert_eq!(refusal.get("connector"), Some("0x10000001"));
        assert_eq!(refusal.get("lmb"), None);
        assert!("seq".parse::<RefusalLine>().is_err());
    }
}
