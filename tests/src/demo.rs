// SPDX-License-Identifier: MIT OR Apache-2.0

//! The demonstration: every scenario in every pairing, side by side.

use crate::{
    artifacts::Artifacts,
    median::median,
    pairing::{Pairing, Side},
    removal::{Outcome, Removal, Retry},
    scenario::{Scenario, Stage},
    vm::{self, Booting, Vm},
};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

/// The pairings that are shown, stock first.
pub const PAIRINGS: [Pairing; 2] = [Pairing::STOCK, Pairing::OURS_ON_STOCK];

/// How often the last online CPU is asked for in each pairing, in turns: it is what latencies are compared by.
const ROUNDS: usize = 31;

/// What one scenario came to in one pairing.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// Whose guest.
    pub guest: Side,
    /// Whose VMM.
    pub vmm: Side,
    /// What the host was told.
    pub outcome: Outcome,
    /// How many events told it.
    pub events: usize,
    /// The guest's reason, where a host can know it. At level 0 none does.
    pub reason: Option<String>,
    /// From asking to the first event; the median if there are several samples.
    pub latency_ms: Option<f64>,
    /// The samples it is the median of.
    pub latency_samples_ms: Vec<f64>,
    /// What asking again came to, at once after the cause of a refusal was gone.
    pub retry: Option<Retry>,
}

/// Plays it all; `progress` is told what is going on.
pub fn play(artifacts: &Artifacts, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    progress("booting a stock guest and one with the module");
    let booting: Vec<Booting> = PAIRINGS.iter().map(|pairing| launch(artifacts, *pairing)).collect::<Result<_>>()?;
    let mut vms: Vec<Vm> = booting.into_iter().map(Booting::up).collect::<Result<_>>()?;

    let mut rows = Vec::new();
    for scenario in Scenario::ALL {
        progress(&format!("asking for {}", scenario.asked()));
        rows.extend(side_by_side(scenario, &mut vms).with_context(|| told_where(scenario))?);
        for vm in vms.iter_mut().filter_map(|vm| vm.has_ended().then_some(vm)) {
            progress("a VMM ended by itself; booting again");
            *vm = launch(artifacts, vm.pairing)?.up()?;
        }
    }
    vms.iter_mut().try_for_each(Vm::inspect)?;
    Ok(rows)
}

fn told_where(scenario: Scenario) -> String {
    format!("{scenario} could not be played to its end; the logs are in {}", vm::logs("demo.*").display())
}

fn launch(artifacts: &Artifacts, pairing: Pairing) -> Result<Booting> {
    let Pairing { guest, vmm } = pairing;
    Vm::launch(artifacts, pairing, &format!("demo.{guest}-guest.{vmm}-vmm"))
}

fn side_by_side(scenario: Scenario, vms: &mut [Vm]) -> Result<Vec<Row>> {
    let rounds = if scenario == Scenario::CpuLastOnline { ROUNDS } else { 1 };
    let stages: Vec<Stage> = vms.iter_mut().map(|vm| scenario.arrange(vm)).collect::<Result<_>>()?;
    let mut removals: Vec<Vec<Removal>> = vms.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((vm, stage), removals) in vms.iter_mut().zip(&stages).zip(&mut removals) {
            if !vm.has_ended() {
                removals.push(vm.remove(stage)?);
            }
        }
    }
    let played = vms.iter_mut().zip(&stages).zip(&removals);
    played.map(|((vm, stage), removals)| conclude(scenario, vm, stage, removals)).collect()
}

/// Retries where there is something to retry, and sums up.
fn conclude(scenario: Scenario, vm: &mut Vm, stage: &Stage, removals: &[Removal]) -> Result<Row> {
    let last = removals.last().context("nothing was asked")?;
    let alike = |removal: &Removal| (removal.outcome, removal.events.len()) == (last.outcome, last.events.len());
    ensure!(removals.iter().all(alike), "the same request came to different things: {removals:#?}");
    let retry = match last.outcome {
        Outcome::Refused | Outcome::Silent => {
            scenario.relieve(vm)?;
            Some(vm.retry(stage)?)
        }
        Outcome::Released | Outcome::VmmAborted => None,
    };
    let latency = |removal: &Removal| removal.latency.map(|latency| latency.as_secs_f64() * 1e3);
    let latency_samples_ms: Vec<f64> = removals.iter().filter_map(latency).collect();
    Ok(Row {
        scenario,
        guest: vm.pairing.guest,
        vmm: vm.pairing.vmm,
        outcome: last.outcome,
        events: last.events.len(),
        reason: None,
        latency_ms: median(&latency_samples_ms),
        latency_samples_ms,
        retry,
    })
}
