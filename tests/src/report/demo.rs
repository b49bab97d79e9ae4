// SPDX-License-Identifier: MIT OR Apache-2.0

//! The demonstration: every scenario in every pairing.

use crate::{
    pairing::{Pairing, Side},
    removal::{Outcome, Removal, Retry},
    report::{combination::Combination, median::median},
    story::scenario::{Scenario, ScenarioDevice},
    vm::{self, Booting, Vm},
    vmm::{machine::Machine, qemu::Start},
};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use std::{iter, time::Duration};

/// Pairings of the demonstration, stock first.
pub const PAIRINGS: [Pairing; 4] = [Pairing::STOCK, Pairing::OURS_ON_STOCK, Pairing::STOCK_ON_OURS, Pairing::OURS];

/// Number of further requests for the last CPU in each pairing, for the latency.
pub const ROUNDS: usize = 101;

/// Result of one scenario in one combination.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Scenario.
    pub scenario: Scenario,
    /// Guest.
    pub guest: Side,
    /// Name of the guest's kernel, if it is not that of stock guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<&'static str>,
    /// VMM.
    pub vmm: Side,
    /// Outcome for the host.
    pub outcome: Outcome,
    /// Number of events.
    pub events: usize,
    /// The guest's reason, if the VMM reports one. `unattributed` means that the guest gave none.
    pub reason: Option<String>,
    /// DRC index that refused, if the VMM reports one; of a DIMM the index of one LMB.
    pub connector: Option<String>,
    /// Guest physical address of that LMB.
    pub address: Option<String>,
    /// Time from the request to the first event: the median of `latency_samples_ms`.
    pub latency_ms: Option<f64>,
    /// Samples of the latency.
    pub latency_samples_ms: Vec<f64>,
    /// Result of a second request, right after the cause of the refusal is gone.
    pub retry: Option<Retry>,
}

/// Plays scenarios in these combinations, and requests the last CPU `rounds` more times. `progress` is called with each
/// step.
pub fn play(
    combinations: &[Combination<'_>],
    scenarios: &[Scenario],
    rounds: usize,
    progress: &dyn Fn(&str),
) -> Result<Vec<Row>> {
    let others = combinations
        .iter()
        .find_map(|combination| combination.kernel)
        .map_or_else(|| "guests with the module".to_owned(), |kernel| format!("guests with the kernel `{kernel}`"));
    progress(&format!("booting stock guests and {others}"));
    // Artifacts with a QEMU of the user's own have no patched one.
    let is_there = |combination: &&Combination<'_>| combination.artifacts.vmm(combination.pairing.vmm).is_ok();
    let combinations: Vec<Combination<'_>> = combinations.iter().filter(is_there).copied().collect();
    let kind = if scenarios.iter().any(|scenario| Scenario::OF_DISTRIBUTION.contains(scenario)) {
        Kind::Distribution
    } else {
        Kind::Kernel
    };
    let booting =
        combinations.iter().map(|combination| kind.launch(combination, "")).collect::<Result<Vec<Booting>>>()?;
    let mut vms: Vec<Vm> = booting.into_iter().map(|booting| kind.up(booting)).collect::<Result<_>>()?;

    let mut rows = Vec::new();
    for &scenario in scenarios {
        progress(&format!("requesting {}", scenario.requested()));
        let played = side_by_side(scenario, &mut vms, rounds).with_context(|| logs_of(scenario))?;
        rows.extend(
            iter::zip(played, &combinations).map(|(row, combination)| Row { kernel: combination.kernel, ..row }),
        );
        for (vm, combination) in iter::zip(&mut vms, &combinations) {
            if vm.has_ended() {
                progress("a VMM has ended; booting again");
                *vm = kind.up(kind.launch(combination, &format!(".after-{scenario}"))?)?;
            }
        }
    }
    vms.iter_mut().try_for_each(Vm::inspect)?;
    Ok(rows)
}

fn logs_of(scenario: Scenario) -> String {
    format!("{scenario} could not be played to its end; the logs are in {}", vm::logs("demo.*").display())
}

/// Kind of the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Guests with little else than their kernel.
    Kernel,
    /// Guests with a distribution's programs, and with our agent if they have the module.
    Distribution,
}

impl Kind {
    fn launch(self, combination: &Combination<'_>, when: &str) -> Result<Booting> {
        let Combination { artifacts, pairing, .. } = *combination;
        let card = ["-device".to_owned(), Scenario::card().option()];
        let start = match self {
            Self::Kernel => Start { options: card.to_vec(), ..Start::with_slof() },
            // SLOF takes long for so large an initramfs.
            Self::Distribution => Start::with_distribution(card.into_iter().chain(Scenario::disk().options_of_disk())),
        };
        Vm::launch_as(artifacts, pairing, Machine::Pseries, &start, &format!("demo.{combination}{when}"))
    }

    fn up(self, booting: Booting) -> Result<Vm> {
        let mut vm = booting.up()?;
        if self == Self::Distribution {
            if vm.pairing.guest == Side::Ours {
                vm.stand_before_drmgr()?;
            }
            vm.start_agent()?;
        }
        Ok(vm)
    }
}

fn side_by_side(scenario: Scenario, vms: &mut [Vm], rounds: usize) -> Result<Vec<Row>> {
    let (stages, mut rows): (Vec<Option<ScenarioDevice>>, Vec<Row>) =
        vms.iter_mut().map(|vm| once(scenario, vm)).collect::<Result<_>>()?;
    if scenario == Scenario::CpuLastOnline && rows.iter().all(|row| row.outcome == Outcome::Refused) {
        let stages: Vec<&ScenarioDevice> = stages.iter().flatten().collect();
        measure(vms, &stages, &mut rows, rounds)?;
    }
    for ((vm, stage), row) in vms.iter_mut().zip(stages).zip(&mut rows) {
        if let (Some(stage), Outcome::Refused | Outcome::Silent) = (stage, row.outcome) {
            again(scenario, vm, &stage, row)?;
        }
    }
    Ok(rows)
}

/// Requests the device of a scenario once. Returns no device if the guest crashed.
fn once(scenario: Scenario, vm: &mut Vm) -> Result<(Option<ScenarioDevice>, Row)> {
    let request = unless_crashed(vm, |vm| {
        let stage = scenario.arrange(vm)?;
        let removal = scenario.remove(vm, &stage)?;
        if scenario == Scenario::DiskMounted {
            let is_kept = removal.outcome != Outcome::Released;
            ensure!(
                vm.has_data()? == is_kept,
                "the data of a disk is {}",
                if is_kept { "gone" } else { "still there" }
            );
        }
        Ok((stage, removal))
    })?;
    Ok(match request {
        Some((stage, removal)) => (Some(stage), Row::of(scenario, vm.pairing, &removal)),
        None => (None, Row::of_crash(scenario, vm.pairing)),
    })
}

/// Requests the device again, after the cause of the refusal is gone.
fn again(scenario: Scenario, vm: &mut Vm, stage: &ScenarioDevice, row: &mut Row) -> Result<()> {
    row.retry = unless_crashed(vm, |vm| {
        scenario.relieve(vm)?;
        scenario.retry(vm, stage)
    })?;
    if row.retry.is_none() {
        *row = Row::of_crash(scenario, vm.pairing);
    }
    Ok(())
}

/// Runs a step. Returns `None` if the guest's kernel crashes in it.
fn unless_crashed<T>(vm: &mut Vm, step: impl FnOnce(&mut Vm) -> Result<T>) -> Result<Option<T>> {
    match step(vm) {
        Err(error) if Vm::is_end_of_vmm(&error) && vm.crashed()? => Ok(None),
        done => done.map(Some),
    }
}

impl Row {
    /// Returns the name of the guest in tables.
    pub fn name_of_guest(&self) -> String {
        self.kernel.map_or_else(|| self.guest.to_string(), str::to_owned)
    }

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
            kernel: None,
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

/// Requests the devices `rounds` more times, alternately, for the latency.
fn measure(vms: &mut [Vm], stages: &[&ScenarioDevice], rows: &mut [Row], rounds: usize) -> Result<()> {
    for _ in 0..rounds {
        for ((vm, stage), row) in vms.iter_mut().zip(stages).zip(&mut *rows) {
            let removal = vm.remove_untraced(*stage)?;
            ensure!(
                removal.outcome == row.outcome,
                "the same request came to {} at first and to {} later",
                row.outcome,
                removal.outcome
            );
            row.latency_samples_ms.push(milliseconds(removal.latency));
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
