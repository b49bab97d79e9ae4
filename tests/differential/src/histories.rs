// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long random histories with loads in the middle, in which every request is accounted for.

use crate::{
    account::{Account, Census},
    history::{self, Middle},
    in_process::InProcess,
    keeper::Keeper,
    program::Program,
    spread::spread,
    vmm::Vmm,
};
use anyhow::{Result, ensure};
use std::{fmt, ops::Range};

/// The number of failures that are shown in full.
const SHOWN: usize = 3;

/// The arguments.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Histories {
    /// The number of histories
    #[arg(long, default_value_t = 1000)]
    histories: u64,
    /// The number of steps of a history
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// The seed of the first history
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// On QEMU, load or migrate in one of this many histories, because that takes as long as hundreds of steps
    #[arg(long, default_value_t = 8)]
    loads: u64,
    /// The number of histories on QEMU, if it is another
    #[arg(long)]
    on_qemu: Option<u64>,
}

/// Histories that were played.
#[derive(Default)]
struct Played {
    histories: u64,
    census: Census,
    failed: u64,
    failures: Vec<(u64, String)>,
}

impl Histories {
    /// Plays the histories to the crate and to a QEMU of ours, and prints the accounts. Fails if one breaks a rule.
    /// Hands to `at` how far that is.
    pub fn play(&self, ours: &Program, at: &mut dyn FnMut(&str)) -> Result<()> {
        // XIVE numbers the states of its CPUs as they are plugged, so that they do not load after another order.
        let program = ours.clone().leaving_memory_out().with(&["-machine", "ic-mode=xics"]);
        let Self { histories, first, loads, on_qemu, .. } = *self;
        let middle = |seed: u64| if seed.is_multiple_of(2) { Middle::Load } else { Middle::Migration };
        let in_process = self.account_for(first..first + histories, InProcess::new, middle, at)?;
        println!("the crate:\n{in_process}");
        let middle = |seed: u64| match seed % (2 * loads) {
            0 => Middle::Load,
            half if half == loads => Middle::Migration,
            _ => Middle::Nothing,
        };
        let seeds = first..first + on_qemu.unwrap_or(histories);
        let in_qemu = self.account_for(seeds, || Vmm::start(&program), middle, at)?;
        println!("our QEMU:\n{in_qemu}");
        let failed = in_process.failed + in_qemu.failed;
        ensure!(
            failed == 0,
            "{failed} histories broke a rule; repeat one with --first SEED --histories 1 and the same --steps"
        );
        Ok(())
    }

    fn account_for<K: Keeper>(
        &self,
        seeds: Range<u64>,
        begin: impl Fn() -> Result<K> + Sync,
        middle: impl Fn(u64) -> Middle + Sync,
        at: &mut dyn FnMut(&str),
    ) -> Result<Played> {
        let count = seeds.end - seeds.start;
        let play = |keeper: &mut Option<K>, seeds: Range<u64>| {
            let mut played = Played::default();
            for seed in seeds {
                let mut machine = keeper.take().map_or_else(&begin, Ok)?;
                machine.renew()?;
                let mut account = Account::begin(&machine.list()?);
                let turns = history::of_seed(seed, self.steps, middle(seed));
                // A machine that is silent, or gone, is a failure too.
                let failure = match history::play(&mut machine, &mut account, &turns) {
                    Ok(failure) => failure.map(|failure| failure.to_string()),
                    Err(error) => Some(format!("{error:#}")),
                };
                *keeper = failure.is_none().then_some(machine);
                played.count(seed, account.census(), failure);
            }
            Ok(played)
        };
        let mut sum = Played::default();
        let add = |played| {
            sum.add(played);
            at(&format!("{} of {count} histories", sum.histories));
        };
        spread(seeds, || Ok(None), play, add)?;
        Ok(sum)
    }
}

impl Played {
    fn count(&mut self, seed: u64, census: Census, failure: Option<String>) {
        self.histories += 1;
        self.census = self.census.with(census);
        self.failed += u64::from(failure.is_some());
        self.failures.extend(failure.map(|failure| (seed, failure)));
        self.failures.truncate(SHOWN);
    }

    fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.census = self.census.with(other.census);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(SHOWN);
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9}  histories\n{}{:>9}  broke a rule\n", self.histories, self.census, self.failed)?;
        self.failures.iter().try_for_each(|(seed, failure)| writeln!(f, "\nhistory {seed}:\n{failure}"))
    }
}
