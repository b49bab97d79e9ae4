// SPDX-License-Identifier: MIT OR Apache-2.0

//! Occurrences of reasons on real kernels, which `cargo xtask reasons` makes its table of.

use crate::{
    artifacts::target,
    device::Device,
    guest::module::RefusalLine,
    removal::{Outcome, Removal},
    vm::Vm,
    vmm::qmp::Event,
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_wire::wire::{drc::DrcIndex, reason::Reason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, fs, path::PathBuf};

/// Returns the directory of the records, one file for each occurrence.
pub fn directory() -> PathBuf {
    target().join("reasons")
}

/// Means by which a guest was made to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// Configuration, administration or load of the guest, as in production.
    Natural,
    /// The kernel's own fault injection.
    Injection,
    /// `papr_fault.ko`, which does what a driver may do, or changes data of the kernel.
    Driver,
    /// `papr_fault.ko`, which makes a function of the kernel fail.
    Fault,
    /// `papr_fault.ko`, which changes the request into one that another VMM may send.
    Rewritten,
}

/// Cause of a refusal, and the report that is expected.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Means.
    pub means: Means,
    /// Description, for people.
    pub how: &'a str,
    /// Expected reason.
    pub reason: Reason,
    /// Expected errno, positive.
    pub errno: i64,
    /// Connector that is expected to refuse.
    pub drc: DrcIndex,
}

/// One occurrence of a reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Occurrence {
    /// Name of the reason.
    pub reason: String,
    /// `cpu`, `memory`, `pmem`, `phb` or `pci`.
    pub class: String,
    /// Means; see [`Means`].
    pub means: String,
    /// Description of the cause.
    pub how: String,
    /// Test.
    pub test: String,
    /// Kernel: `uname -r`, and `debug` for a debugging kernel.
    pub kernel: String,
    /// Report to the host.
    pub told: String,
}

impl Occurrence {
    /// Writes the record, unless an equal one is there.
    fn keep(&self) -> Result<()> {
        let Self { test, reason, .. } = self;
        fs::create_dir_all(directory())?;
        let mut number = 0;
        let path = |number| directory().join(format!("{}.{reason}.{number}.json", test.replace("::", ".")));
        while written(&path(number)).is_some_and(|other| other != *self) {
            number += 1;
        }
        fs::write(path(number), serde_json::to_string_pretty(self)? + "\n").context("cannot write what was seen")
    }
}

fn written(path: &std::path::Path) -> Option<Occurrence> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

impl Vm {
    /// Requests a device, which must be refused as the case says, by one event. Records the occurrence and returns the
    /// module's line in `refusals`.
    pub fn trigger(&mut self, device: &impl Device, case: &Expectation<'_>) -> Result<RefusalLine> {
        let removal = self.remove(device).with_context(|| case.to_string())?;
        self.record_removal(&removal, case)?;
        let refusal = self.refusals()?.pop().with_context(|| format!("{case}: the module lists no refusal"))?;
        ensure!(refusal.get("reason") == Some(&case.reason.to_string()), "{case}: the module lists {refusal:?}");
        Ok(refusal)
    }

    /// Requests a PCI device or a PHB, which must be refused as the case says, by one event. Records the occurrence.
    pub fn trigger_pci(&mut self, device: &impl Device, case: &Expectation<'_>) -> Result<()> {
        let removal = self.remove_pci(device).with_context(|| case.to_string())?;
        self.record_removal(&removal, case)
    }

    /// Checks a removal that has ended and records the occurrence, without reading the module's `refusals`.
    pub fn record_removal(&mut self, removal: &Removal, case: &Expectation<'_>) -> Result<()> {
        ensure!(removal.outcome == Outcome::Refused, "{case}: the outcome is {}", removal.outcome);
        self.record_events(&removal.events, case)
    }

    /// Checks all events about a request and records the occurrence.
    pub fn record_events(&mut self, events: &[Event], case: &Expectation<'_>) -> Result<()> {
        let [event] = events else { bail!("{case}: there were {} events", events.len()) };
        let class = class(case.drc);
        let expected = RefusalEvent {
            source: "reported-by-token".to_owned(),
            reason: case.reason.to_string(),
            // The VMM leaves out an errno of 0.
            errno: Some(case.errno).filter(|errno| *errno != 0),
            drc: case.drc.0,
            address: (class == "memory").then(|| u64::from(case.drc.0 & 0x0fff_ffff) << 28),
        };
        let reported = RefusalEvent::of(event);
        ensure!(reported == expected, "{case}: the host was told {reported:?}");
        self.record(class, case, &reported.to_string())
    }

    /// Records an occurrence, with the report to the host.
    pub fn record(&mut self, class: &str, case: &Expectation<'_>, told: &str) -> Result<()> {
        let checks = self.guest.run("[ -e /proc/lockdep_stats ]")?.status == 0;
        let release = self.guest.sh("uname -r")?.trim().to_owned();
        let test = std::thread::current().name().unwrap_or("main").to_owned();
        Occurrence {
            reason: case.reason.to_string(),
            class: class.to_owned(),
            means: case.means.to_string(),
            how: case.how.to_owned(),
            test,
            kernel: if checks { format!("{release}, debug") } else { release },
            told: told.to_owned(),
        }
        .keep()
    }
}

/// Returns the class of a connector of QEMU: the connector's type is in the top four bits.
fn class(drc: DrcIndex) -> &'static str {
    match drc.0 >> 28 {
        2 => "phb",
        4 => "pci",
        8 => "memory",
        _ => "cpu",
    }
}

/// Members of a `DEVICE_UNPLUG_GUEST_ERROR`.
#[derive(Debug, PartialEq, Eq)]
struct RefusalEvent {
    source: String,
    reason: String,
    errno: Option<i64>,
    drc: u32,
    address: Option<u64>,
}

impl RefusalEvent {
    fn of(event: &Event) -> Self {
        let word = |name| event.body.data(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name| event.body.data(name).and_then(Value::as_u64);
        Self {
            source: word("source"),
            reason: word("reason"),
            errno: event.body.data("errno").and_then(Value::as_i64),
            drc: number("drc").and_then(|drc| u32::try_from(drc).ok()).unwrap_or_default(),
            address: number("address"),
        }
    }
}

impl fmt::Display for RefusalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if let Some(errno) = self.errno {
            write!(f, ", errno {errno}")?;
        }
        write!(f, ", drc {:#010x}", self.drc)?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Expectation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.how)
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Natural => "as guests do",
            Self::Injection => "the kernel's fault injection",
            Self::Driver => "a test's module does what others may",
            Self::Fault => "a kernel function made to fail",
            Self::Rewritten => "the request made another VMM's",
        })
    }
}
