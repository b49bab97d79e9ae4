// SPDX-License-Identifier: MIT OR Apache-2.0

//! Soak test: thousands of requests to a guest under load, each of which must end exactly once.

pub mod faults;
pub mod footprint;
pub mod ledger;
pub mod session;

use self::{
    footprint::Footprint,
    ledger::Ledger,
    session::{BootCpus, SoakSession},
};
use crate::{artifacts::Artifacts, dice::Dice, vm};
use anyhow::{Context as _, Result, ensure};
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// Number of steps between two footprints.
const FOOTPRINTS: u32 = 50;
/// Largest growth of the VMM and of the guest's slab from the middle of a session to its end, in KiB. Before the middle
/// QEMU's tables of translated addresses still grow with what each CPU touches; a leak per request would go on growing.
const GROWTH: (u64, u64) = (32 << 10, 16 << 10);

/// Results of a soak test.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Requests and their ends.
    pub ledger: Ledger,
    /// Number of times that each step was taken.
    pub done: BTreeMap<&'static str, u64>,
    /// Footprints in the middle and at the end of each session.
    pub footprints: Vec<(Footprint, Footprint)>,
}

/// Runs sessions of random steps for `length`, in guests with this number of CPUs at boot. Equal seeds choose equal
/// steps.
pub fn run(
    artifacts: &Artifacts,
    cpus: BootCpus,
    length: Duration,
    seed: u64,
    progress: &dyn Fn(&str),
) -> Result<Summary> {
    let begun = Instant::now();
    let mut dice = Dice::of(seed);
    let mut summary = Summary::default();
    for number in 1.. {
        if begun.elapsed() >= length {
            break;
        }
        let name = format!("soak.{number}");
        let stage = || format!("session {number} of seed {seed}; logs: {}", vm::logs(&name).display());
        progress(&format!("session {number} begins"));
        let mut session = SoakSession::begin(artifacts, cpus, Dice::of(dice.bits()), &name).with_context(stage)?;
        let mut footprints = Vec::new();
        let mut steps = 0;
        while begun.elapsed() < length && !session.is_spent() {
            steps += 1;
            session.step().with_context(|| format!("step {steps} of {}", stage()))?;
            if steps % FOOTPRINTS == 0 {
                footprints.push(session.footprint().with_context(stage)?);
                let seconds = begun.elapsed().as_secs();
                let requests = summary.ledger.total() + session.ledger.total();
                progress(&format!("{seconds} s: {requests} requests; {}", footprints[footprints.len() - 1]));
            }
        }
        for (what, count) in &session.done {
            *summary.done.entry(what).or_default() += count;
        }
        summary.ledger.absorb(session.end().with_context(stage)?);
        if let (Some(halfway), Some(last)) = (footprints.get(footprints.len() / 2), footprints.last()) {
            summary.footprints.push((*halfway, *last));
            let (vmm, slab) = last.growth_since(*halfway);
            ensure!(vmm <= GROWTH.0 && slab <= GROWTH.1, "it grows: {halfway}, then {last}; {}", stage());
        }
    }
    ensure!(summary.ledger.is_balanced(), "not as many requests ended as were sent:\n{}", summary.ledger);
    Ok(summary)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.done {
            writeln!(f, "{count:>6} times {what}")?;
        }
        write!(f, "{}", self.ledger)?;
        for (halfway, last) in &self.footprints {
            writeln!(f, "halfway: {halfway}; in the end: {last}")?;
        }
        Ok(())
    }
}
