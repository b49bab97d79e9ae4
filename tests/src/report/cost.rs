// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the module costs a guest, and its host.
//!
//! Time is measured in turns, in a run, because no machine is quiet for long. Where a hundredth of something is in question,
//! instructions of the guest are counted instead of time: they are the same on a busy machine.

use crate::{
    artifacts::Artifacts,
    device::{Device, dimm::LMB},
    observe::elf::{self, Section},
    pairing::Pairing,
    removal::Outcome,
    story::scenario::{Scenario, Stage},
    vm::{Booting, Vm},
    vmm::{machine::Machine, qemu::Start},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::{fs, time::Duration};

/// How long it takes a host to hear of a refusal.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Whose parts.
    pub pairing: Pairing,
    /// In milliseconds.
    pub samples: Vec<f64>,
}

/// What something takes of the guest's instructions, without the module and with it.
#[derive(Clone, Debug, Default)]
pub struct Instructions {
    /// Without.
    pub without: Vec<f64>,
    /// With it.
    pub with: Vec<f64>,
}

/// What removals take.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    /// A DIMM of four LMBs goes.
    pub dimm: Instructions,
    /// The last CPU is asked for.
    pub last_cpu: Instructions,
    /// A CPU goes that the guest's administrator takes away.
    pub cpu_by_hand: Instructions,
}

/// How large the module is, in bytes.
#[derive(Clone, Debug)]
pub struct Size {
    /// The face that it shows.
    pub face: &'static str,
    /// Its code and data.
    pub content: u64,
    /// Of that, what is empty at first.
    pub empty: u64,
    /// What the kernel keeps of it once it is loaded, in whole pages: also the names of its functions (`CONFIG_KALLSYMS`).
    pub loaded: u64,
    /// Its file.
    pub file: u64,
}

/// Loads the module with each of its faces, and asks the kernel how large it is.
pub fn sizes(artifacts: &Artifacts) -> Result<Vec<Size>> {
    let mut vm = Vm::launch(artifacts, Pairing::STOCK, "cost.sizes")?.up()?;
    let faces = [
        ("kernel-crate", Some(&artifacts.module), Vm::load_module as fn(&mut Vm) -> Result<()>),
        ("freestanding", artifacts.module_freestanding.as_ref(), Vm::load_freestanding_module),
    ];
    let mut sizes = Vec::new();
    for (face, module, load) in faces {
        let Some(module) = module else { continue };
        load(&mut vm)?;
        let loaded = vm.guest.sh("cat /sys/module/papr_unplug/coresize")?.trim().parse()?;
        vm.unload_module()?;
        let file = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        let sections =
            elf::sections(&file).with_context(|| format!("{} is no module for ppc64le", module.display()))?;
        let size = |is_it: &dyn Fn(&Section<'_>) -> bool| {
            sections.iter().filter(|section| section.is_loaded && is_it(section)).map(|section| section.size).sum()
        };
        sizes.push(Size {
            face,
            content: size(&|section| !section.name.starts_with(b".init")),
            empty: size(&|section| section.contents.is_empty()),
            loaded,
            file: file.len() as u64,
        });
    }
    vm.inspect()?;
    Ok(sizes)
}

/// How often VMs are booted for the latency of a refusal: where a guest's code and data come to lie differs from boot to boot,
/// and makes more of a difference than one refusal to the next.
const BOOTS: usize = 3;

/// Asks for the last CPU that is online, so often in each pairing, in turns, and each time again in VMs that were booted anew.
pub fn refusals(artifacts: &Artifacts, rounds: usize, pairings: &[Pairing]) -> Result<Vec<Latencies>> {
    let mut all = Vec::<Latencies>::new();
    for _ in 0..BOOTS {
        let mut vms = boot(artifacts, Machine::Pseries, "cost", pairings)?;
        let stages: Vec<Stage> = vms.iter_mut().map(|vm| Scenario::CpuLastOnline.arrange(vm)).collect::<Result<_>>()?;
        let latencies = in_turns(&mut vms, rounds, |number, vm| vm.outcome_of(&stages[number], Outcome::Refused))?;
        for (number, of_boot) in latencies.into_iter().enumerate() {
            match all.get_mut(number) {
                Some(before) => before.samples.extend(of_boot.samples),
                None => all.push(of_boot),
            }
        }
    }
    Ok(all)
}

/// Has a DIMM of so many LMBs come and go, so often in each pairing, in turns.
pub fn large_removals(artifacts: &Artifacts, lmbs: u64, rounds: usize, pairings: &[Pairing]) -> Result<Vec<Latencies>> {
    let mut vms = boot(artifacts, Machine::PseriesWithRoom, "cost.large", pairings)?;
    in_turns(&mut vms, rounds, |_, vm| {
        let dimm = vm.plug_dimm(lmbs * LMB)?;
        let latency = vm.outcome_of(&dimm, Outcome::Released)?;
        vm.forget(&dimm)?;
        Ok(latency)
    })
}

/// A VM of each pairing.
fn boot(artifacts: &Artifacts, machine: Machine, name: &str, pairings: &[Pairing]) -> Result<Vec<Vm>> {
    let start = Start::default();
    let launch = |pairing: &Pairing| {
        let Pairing { guest, vmm } = *pairing;
        Vm::launch_as(artifacts, *pairing, machine, &start, &format!("{name}.{guest}-guest.{vmm}-vmm"))
    };
    let booting: Vec<Booting> = pairings.iter().map(launch).collect::<Result<_>>()?;
    booting.into_iter().map(Booting::up).collect()
}

/// Takes a latency so often in each VM, in turns; which VM it is has a number. The first of each finds caches cold that later
/// ones find warm.
fn in_turns(
    vms: &mut [Vm],
    rounds: usize,
    latency: impl Fn(usize, &mut Vm) -> Result<Duration>,
) -> Result<Vec<Latencies>> {
    let mut latencies: Vec<Latencies> =
        vms.iter().map(|vm| Latencies { pairing: vm.pairing, samples: Vec::new() }).collect();
    for round in 0..=rounds {
        for (number, (vm, latencies)) in vms.iter_mut().zip(&mut latencies).enumerate() {
            let latency = latency(number, vm)?;
            if round != 0 {
                latencies.samples.push(latency.as_secs_f64() * 1e3);
            }
        }
    }
    vms.iter_mut().try_for_each(Vm::inspect)?;
    Ok(latencies)
}

/// Counts the instructions of removals, so often with and without the module, in turns, in one guest.
///
/// QEMU cannot take a CPU apart while all CPUs share a thread, which counting needs. So a CPU goes by the hand of the guest's
/// administrator, of which QEMU only takes note.
pub fn removals(artifacts: &Artifacts, rounds: usize) -> Result<Removals> {
    let start = Start::counting_instructions();
    let name = "cost.instructions";
    let mut vm = Vm::launch_as(artifacts, Pairing::STOCK_ON_OURS, Machine::Pseries, &start, name)?.up()?;
    // To write a line to the console takes more than all probes of a removal, and those of a refusal are no part of one.
    vm.guest.sh("dmesg -n 1")?;
    let dimm = vm.compare(rounds, |vm| {
        let dimm = vm.plug_dimm(4 * LMB)?;
        let count = vm.count(|vm| vm.outcome_of(&dimm, Outcome::Released).map(drop))?;
        vm.forget(&dimm)?;
        Ok(count)
    })?;
    let cpu = vm.plug_cpu(1)?;
    let by_hand = |how| format!("echo cpu {how} index {} > /sys/kernel/dlpar", cpu.connector());
    let cpu_by_hand = vm.compare(rounds, |vm| {
        let count = vm.count(|vm| vm.guest.sh(&by_hand("remove")).map(drop))?;
        vm.guest.sh(&by_hand("add"))?;
        Ok(count)
    })?;
    vm.put_boot_cpu_offline()?;
    let last_cpu = vm.compare(rounds, |vm| vm.count(|vm| vm.outcome_of(&cpu, Outcome::Refused).map(drop)))?;
    vm.guest.sh("dmesg -n 8")?;
    vm.inspect()?;
    Ok(Removals { dimm, last_cpu, cpu_by_hand })
}

impl Vm {
    /// Takes a count without the module and with it, in turns. The first of each finds caches cold that later ones find warm.
    fn compare(&mut self, rounds: usize, count: impl Fn(&mut Self) -> Result<f64>) -> Result<Instructions> {
        let mut counts = Instructions::default();
        for round in 0..=rounds {
            let without = count(self)?;
            self.load_module()?;
            let with = count(self)?;
            self.unload_module()?;
            if round != 0 {
                counts.without.push(without);
                counts.with.push(with);
            }
        }
        Ok(counts)
    }

    /// The instructions that the guest takes for something, and to answer once more.
    fn count(&mut self, something: impl FnOnce(&mut Self) -> Result<()>) -> Result<f64> {
        // What the kernel has put off is done before: it optimises probes some ticks after they came or went.
        self.guest.sh("sleep 1")?;
        let before = self.instructions()?;
        something(self)?;
        self.guest.sh("true")?;
        Ok((self.instructions()? - before) as f64)
    }

    /// Asks for a device, and waits until the host is told this: how long that takes.
    fn outcome_of(&mut self, device: &impl Device, outcome: Outcome) -> Result<Duration> {
        let told = self.remove_unwatched(device)?;
        ensure!(told.outcome == outcome, "{} was {}", device.id(), told.outcome);
        Ok(told.latency)
    }

    /// How many instructions the guest has taken, where they are counted.
    fn instructions(&mut self) -> Result<u64> {
        self.qmp.execute("query-replay", json!({}))?["icount"].as_u64().context("instructions are not counted")
    }
}
