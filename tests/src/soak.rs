// SPDX-License-Identifier: MIT OR Apache-2.0

//! Endurance: thousands of requests at a guest that has other things to do as well, and each of them ends once.

pub mod footprint;
pub mod ledger;
pub mod session;

use self::{footprint::Footprint, ledger::Ledger, session::Session};
use crate::{artifacts::Artifacts, dice::Dice, vm};
use anyhow::{Context as _, Result, ensure};
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// How often footprints are taken, in steps.
const FOOTPRINTS: u32 = 50;
/// How much more a VMM and a guest's slab may occupy at the end of a session than halfway, in KiB. Before that QEMU's tables
/// of translated addresses still grow with what each of the CPUs touches; what is lost with each request grows on.
const GROWTH: (u64, u64) = (32 << 10, 16 << 10);

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Requests and their ends.
    pub ledger: Ledger,
    /// What was done, how often.
    pub done: BTreeMap<&'static str, u64>,
    /// The footprints halfway through each session and at its end.
    pub footprints: Vec<(Footprint, Footprint)>,
}

/// Lets dice that fall as `seed` says decide what happens, for so long.
pub fn run(artifacts: &Artifacts, length: Duration, seed: u64, progress: &dyn Fn(&str)) -> Result<Summary> {
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
        let mut session = Session::begin(artifacts, Dice::of(dice.bits()), &name).with_context(stage)?;
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
