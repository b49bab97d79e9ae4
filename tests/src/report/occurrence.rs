// SPDX-License-Identifier: MIT OR Apache-2.0

//! That a reason was provoked for real, and what the host was told: what `cargo xtask reasons` makes its table of.

use crate::{
    artifacts::target,
    device::Device,
    guest::module::Refusal,
    removal::{Outcome, Removal},
    vm::Vm,
    vmm::qmp::Event,
};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_wire::wire::{drc::DrcIndex, reason::Reason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, fs, path::PathBuf};

/// Where tests put it, one file each time.
pub fn directory() -> PathBuf {
    target().join("reasons")
}

/// By what means a guest was brought to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// It came to it as guests do: by its configuration, its administrator or its load.
    Natural,
    /// The kernel's own fault injection.
    Injection,
    /// `papr_fault.ko` did what a driver may, or changed what the kernel looks at.
    Driver,
    /// `papr_fault.ko` made a function of the kernel fail.
    Fault,
    /// `papr_fault.ko` made the request read as another VMM would ask.
    Rewritten,
}

/// What a guest is brought to, and what the host must then be told.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// By what means.
    pub means: Means,
    /// How, for people.
    pub how: &'a str,
    /// The reason.
    pub reason: Reason,
    /// The guest's error number, positive.
    pub errno: i64,
    /// The connector that refuses.
    pub drc: DrcIndex,
}

/// One reason that was provoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Occurrence {
    /// The reason's name.
    pub reason: String,
    /// `cpu`, `memory` or `pmem`.
    pub class: String,
    /// By what means; see [`Means`].
    pub means: String,
    /// How.
    pub how: String,
    /// The test that did it.
    pub test: String,
    /// The kernel, as `uname -r` has it, and what it was built for.
    pub kernel: String,
    /// What the host was told.
    pub told: String,
}

impl Occurrence {
    /// Writes it down.
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
    /// Asks for a device, which must be refused as the case says: by one event, about this request and no other. Writes that
    /// down, and gives what the guest's journal says of it.
    pub fn provoke(&mut self, device: &impl Device, case: &Case<'_>) -> Result<Refusal> {
        let removal = self.remove(device).with_context(|| case.to_string())?;
        self.witness(&removal, case)?;
        let refusal = self.refusals()?.pop().with_context(|| format!("{case}: the guest's journal is empty"))?;
        ensure!(
            refusal.get("reason") == Some(&case.reason.to_string()),
            "{case}: the guest's journal says {refusal:?}"
        );
        Ok(refusal)
    }

    /// The same for a removal that has been watched, without a look at the guest.
    pub fn witness(&mut self, removal: &Removal, case: &Case<'_>) -> Result<()> {
        ensure!(removal.outcome == Outcome::Refused, "{case}: the outcome is {}", removal.outcome);
        self.witness_events(&removal.events, case)
    }

    /// The same for all events about a request.
    pub fn witness_events(&mut self, events: &[Event], case: &Case<'_>) -> Result<()> {
        let [event] = events else { bail!("{case}: there were {} events", events.len()) };
        let memory = case.drc.0 >> 28 == 8;
        let expected = Told {
            source: "reported-by-token".to_owned(),
            reason: case.reason.to_string(),
            // The VMM leaves it out where it is 0.
            errno: Some(case.errno).filter(|errno| *errno != 0),
            drc: case.drc.0,
            address: memory.then(|| u64::from(case.drc.0 & 0x0fff_ffff) << 28),
        };
        let told = Told::of(event);
        ensure!(told == expected, "{case}: the host was told {told:?}");
        self.keep_evidence(if memory { "memory" } else { "cpu" }, case, &told.to_string())
    }

    /// Writes down that a case was brought about, and what the host was told.
    pub fn keep_evidence(&mut self, class: &str, case: &Case<'_>, told: &str) -> Result<()> {
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

/// What the host was told of a refusal.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    source: String,
    reason: String,
    errno: Option<i64>,
    drc: u32,
    address: Option<u64>,
}

impl Told {
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

impl fmt::Display for Told {
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

impl fmt::Display for Case<'_> {
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
