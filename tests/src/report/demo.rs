// SPDX-License-Identifier: MIT OR Apache-2.0

//! The demonstration: every scenario in every pairing, side by side.

use crate::{
    artifacts::Artifacts,
    pairing::{Pairing, Side},
    removal::{Outcome, Removal, Retry},
    report::median::median,
    story::scenario::{Scenario, Stage},
    vm::{self, Booting, Vm},
    vmm::{machine::Machine, qemu::Start},
};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// The pairings that are shown, stock first.
pub const PAIRINGS: [Pairing; 4] = [Pairing::STOCK, Pairing::OURS_ON_STOCK, Pairing::STOCK_ON_OURS, Pairing::OURS];

/// How often more the last online CPU is asked for in each pairing, in turns, where latencies are compared by it.
pub const ROUNDS: usize = 101;

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
    /// The guest's reason, where the VMM tells one. `unattributed` says that the guest gave none.
    pub reason: Option<String>,
    /// The connector that refused, where the VMM tells it: of a DIMM, one LMB's.
    pub connector: Option<String>,
    /// Where in the guest's memory that LMB is.
    pub address: Option<String>,
    /// From asking to the first event; the median if there are several samples.
    pub latency_ms: Option<f64>,
    /// The samples it is the median of.
    pub latency_samples_ms: Vec<f64>,
    /// What asking again came to, at once after the cause of a refusal was gone.
    pub retry: Option<Retry>,
}

/// Plays it all in these pairings, and that much more of it for latencies; `progress` is told what is going on.
pub fn play(artifacts: &Artifacts, pairings: &[Pairing], rounds: usize, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    progress("booting stock guests and guests with the module");
    // Who brings a QEMU of their own has none of ours.
    let pairings = pairings.iter().filter(|pairing| artifacts.vmm(pairing.vmm).is_ok());
    let booting: Vec<Booting> = pairings.map(|pairing| launch(artifacts, *pairing, "")).collect::<Result<_>>()?;
    let mut vms: Vec<Vm> = booting.into_iter().map(Booting::up).collect::<Result<_>>()?;

    let mut rows = Vec::new();
    for scenario in Scenario::ALL {
        progress(&format!("asking for {}", scenario.asked()));
        rows.extend(side_by_side(scenario, &mut vms, rounds).with_context(|| told_where(scenario))?);
        for vm in vms.iter_mut().filter_map(|vm| vm.has_ended().then_some(vm)) {
            progress("a VMM has ended; booting again");
            *vm = launch(artifacts, vm.pairing, &format!(".after-{scenario}"))?.up()?;
        }
    }
    vms.iter_mut().try_for_each(Vm::inspect)?;
    Ok(rows)
}

fn told_where(scenario: Scenario) -> String {
    format!("{scenario} could not be played to its end; the logs are in {}", vm::logs("demo.*").display())
}

fn launch(artifacts: &Artifacts, pairing: Pairing, when: &str) -> Result<Booting> {
    let Pairing { guest, vmm } = pairing;
    let start = Start::with_slof();
    Vm::launch_as(artifacts, pairing, Machine::Pseries, &start, &format!("demo.{guest}-guest.{vmm}-vmm{when}"))
}

fn side_by_side(scenario: Scenario, vms: &mut [Vm], rounds: usize) -> Result<Vec<Row>> {
    let (stages, mut rows): (Vec<Option<Stage>>, Vec<Row>) =
        vms.iter_mut().map(|vm| once(scenario, vm)).collect::<Result<_>>()?;
    if scenario == Scenario::CpuLastOnline && rows.iter().all(|row| row.outcome == Outcome::Refused) {
        let stages: Vec<&Stage> = stages.iter().flatten().collect();
        measure(vms, &stages, &mut rows, rounds)?;
    }
    for ((vm, stage), row) in vms.iter_mut().zip(stages).zip(&mut rows) {
        if let (Some(stage), Outcome::Refused | Outcome::Silent) = (stage, row.outcome) {
            again(scenario, vm, &stage, row)?;
        }
    }
    Ok(rows)
}

/// Asks once. There is no stage left where the guest crashed.
fn once(scenario: Scenario, vm: &mut Vm) -> Result<(Option<Stage>, Row)> {
    let asked = unless_crashed(vm, |vm| {
        let stage = scenario.arrange(vm)?;
        let removal = vm.remove(&stage)?;
        Ok((stage, removal))
    })?;
    Ok(match asked {
        Some((stage, removal)) => (Some(stage), Row::of(scenario, vm.pairing, &removal)),
        None => (None, Row::of_crash(scenario, vm.pairing)),
    })
}

/// Asks again, with the cause of the refusal gone.
fn again(scenario: Scenario, vm: &mut Vm, stage: &Stage, row: &mut Row) -> Result<()> {
    row.retry = unless_crashed(vm, |vm| {
        scenario.relieve(vm)?;
        vm.retry(stage)
    })?;
    if row.retry.is_none() {
        *row = Row::of_crash(scenario, vm.pairing);
    }
    Ok(())
}

/// What a step came to; nothing if the guest's kernel crashed in it.
fn unless_crashed<T>(vm: &mut Vm, step: impl FnOnce(&mut Vm) -> Result<T>) -> Result<Option<T>> {
    match step(vm) {
        Err(error) if Vm::is_end_of_vmm(&error) && vm.crashed()? => Ok(None),
        done => done.map(Some),
    }
}

impl Row {
    fn of(scenario: Scenario, pairing: Pairing, removal: &Removal) -> Self {
        let member = |name| removal.events.first().and_then(|event| event.body.data(name));
        let latency_samples_ms: Vec<f64> = removal.latency.into_iter().map(milliseconds).collect();
        Self {
            outcome: removal.outcome,
            events: removal.events.len(),
            reason: member("reason").and_then(Value::as_str).map(str::to_owned),
            connector: member("drc").and_then(Value::as_u64).map(|index| format!("{index:#010x}")),
            address: member("address").and_then(Value::as_u64).map(|address| format!("{address:#x}")),
            latency_ms: median(&latency_samples_ms),
            latency_samples_ms,
            ..Self::of_crash(scenario, pairing)
        }
    }

    fn of_crash(scenario: Scenario, Pairing { guest, vmm }: Pairing) -> Self {
        Self {
            scenario,
            guest,
            vmm,
            outcome: Outcome::GuestCrashed,
            events: 0,
            reason: None,
            connector: None,
            address: None,
            latency_ms: None,
            latency_samples_ms: Vec::new(),
            retry: None,
        }
    }
}

/// Asks many times more, in turns.
fn measure(vms: &mut [Vm], stages: &[&Stage], rows: &mut [Row], rounds: usize) -> Result<()> {
    for _ in 0..rounds {
        for ((vm, stage), row) in vms.iter_mut().zip(stages).zip(&mut *rows) {
            let told = vm.remove_unwatched(*stage)?;
            ensure!(
                told.outcome == row.outcome,
                "the same request came to {} at first and to {} later",
                row.outcome,
                told.outcome
            );
            row.latency_samples_ms.push(milliseconds(told.latency));
        }
    }
    for row in rows {
        row.latency_ms = median(&row.latency_samples_ms);
    }
    Ok(())
}

fn milliseconds(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}
