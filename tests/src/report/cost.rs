// SPDX-License-Identifier: MIT OR Apache-2.0

//! Costs of the module for a guest and its host.
//!
//! Times are measured alternately, because no machine is quiet for long. Where one percent matters, the guest's
//! instructions are counted instead: a busy machine does not change them.

use crate::{
    artifacts::Artifacts,
    device::{Device, dimm::LMB},
    pairing::Pairing,
    removal::Outcome,
    report::combination::Combination,
    story::scenario::{Scenario, ScenarioDevice},
    vm::{Booting, Vm},
    vmm::{
        machine::Machine,
        qemu::{Start, Threads},
    },
};
use anyhow::{Context as _, Result, ensure};
use object::{LittleEndian, Object as _, ObjectSection as _, SectionFlags, elf::SHF_ALLOC, read::elf::ElfFile64};
use serde_json::json;
use std::{fs, time::Duration};

/// Latencies of one measurement in one guest, or in guests that differ by their boot only.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Latencies, in milliseconds.
    pub samples: Vec<f64>,
}

/// Instruction counts of a task, without the module and with it.
#[derive(Clone, Debug, Default)]
pub struct Instructions {
    /// Counts without the module.
    pub without: Vec<f64>,
    /// Counts with the module.
    pub with: Vec<f64>,
}

/// Instruction counts of removals.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    /// Release of a DIMM of four LMBs.
    pub dimm: Instructions,
    /// Refusal of the last CPU.
    pub last_cpu: Instructions,
    /// Release of a CPU by the guest's administrator.
    pub cpu_by_hand: Instructions,
}

/// Sizes of a build of the module, in bytes.
#[derive(Clone, Debug)]
pub struct Size {
    /// Build.
    pub build: &'static str,
    /// Code and data.
    pub content: u64,
    /// Part of `content` that is zero at first (`SHT_NOBITS`).
    pub empty: u64,
    /// Memory after loading, in whole pages, which includes the symbol table (`CONFIG_KALLSYMS`).
    pub loaded: u64,
    /// File.
    pub file: u64,
}

/// Loads each build of the module and reads its sizes.
pub fn sizes(artifacts: &Artifacts) -> Result<Vec<Size>> {
    let mut vm = Vm::launch(artifacts, Pairing::STOCK, "cost.sizes")?.up()?;
    let builds = [
        ("kernel-crate", Some(&artifacts.module), Vm::load_module as fn(&mut Vm) -> Result<()>),
        ("standalone", artifacts.module_standalone.as_ref(), Vm::load_standalone_module),
    ];
    let mut sizes = Vec::new();
    for (build, module, load) in builds {
        let Some(module) = module else { continue };
        load(&mut vm)?;
        let loaded = vm.guest.sh("cat /sys/module/papr_unplug/coresize")?.trim().parse()?;
        vm.unload_module()?;
        let file = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        let elf = ElfFile64::<LittleEndian>::parse(&*file)
            .with_context(|| format!("{} is no module for ppc64le", module.display()))?;
        let mut size = Size { build, content: 0, empty: 0, loaded, file: file.len() as u64 };
        for section in elf.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            if !sh_flags.contains(SHF_ALLOC) {
                continue;
            }
            size.content += if section.name()?.starts_with(".init") { 0 } else { section.size() };
            size.empty += if section.data()?.is_empty() { section.size() } else { 0 };
        }
        sizes.push(size);
    }
    vm.inspect()?;
    Ok(sizes)
}

/// Number of boots for the latency of a refusal. The addresses of a guest's code and data differ between boots, which
/// changes the latency more than one refusal differs from the next.
const BOOTS: usize = 8;

/// Measures the latency of the last CPU's refusal: `rounds` times in each combination, alternately, in each of [`BOOTS`]
/// boots. Returns the latencies of each combination, in the same order.
pub fn refusals(combinations: &[Combination<'_>], rounds: usize) -> Result<Vec<Latencies>> {
    let mut all = vec![Latencies::default(); combinations.len()];
    for _ in 0..BOOTS {
        let mut vms = boot(combinations, Machine::Pseries, "cost")?;
        let stages: Vec<ScenarioDevice> =
            vms.iter_mut().map(|vm| Scenario::CpuLastOnline.arrange(vm)).collect::<Result<_>>()?;
        let latencies = in_turns(&mut vms, rounds, |number, vm| vm.outcome_of(&stages[number], Outcome::Refused))?;
        for (before, of_boot) in all.iter_mut().zip(latencies) {
            before.samples.extend(of_boot.samples);
        }
    }
    Ok(all)
}

/// Measures the latency of the release of a DIMM of `lmbs` LMBs, `rounds` times in each combination, alternately.
/// Returns the latencies of each combination, in the same order.
pub fn large_removals(combinations: &[Combination<'_>], lmbs: u64, rounds: usize) -> Result<Vec<Latencies>> {
    let mut vms = boot(combinations, Machine::PseriesWithRoom, "cost.large")?;
    in_turns(&mut vms, rounds, |_, vm| {
        let dimm = vm.plug_dimm(lmbs * LMB)?;
        let latency = vm.outcome_of(&dimm, Outcome::Released)?;
        vm.forget(&dimm)?;
        Ok(latency)
    })
}

/// Boots a VM of each combination.
fn boot(combinations: &[Combination<'_>], machine: Machine, name: &str) -> Result<Vec<Vm>> {
    let start = Start::default();
    let launch = |combination: &Combination<'_>| {
        let Combination { artifacts, pairing, .. } = *combination;
        Vm::launch_as(artifacts, pairing, machine, &start, &format!("{name}.{combination}"))
    };
    let booting: Vec<Booting> = combinations.iter().map(launch).collect::<Result<_>>()?;
    booting.into_iter().map(Booting::up).collect()
}

/// Measures a latency `rounds` times in each VM, alternately. `latency` gets the number of the VM. The first
/// measurement in each VM is dropped, because its caches are cold.
fn in_turns(
    vms: &mut [Vm],
    rounds: usize,
    latency: impl Fn(usize, &mut Vm) -> Result<Duration>,
) -> Result<Vec<Latencies>> {
    let mut latencies = vec![Latencies::default(); vms.len()];
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

/// Counts the instructions of removals in one guest, `rounds` times without and with the module, alternately.
///
/// Counting needs one thread for all CPUs (`-icount`), and the stock QEMU cannot delete a CPU then. So the guest's
/// administrator removes the CPU, of which QEMU only takes note.
pub fn removals(artifacts: &Artifacts, rounds: usize) -> Result<Removals> {
    let start = Start::with_threads(Threads::Counting);
    let name = "cost.instructions";
    let mut vm = Vm::launch_as(artifacts, Pairing::STOCK_ON_OURS, Machine::Pseries, &start, name)?.up()?;
    // A line on the console takes more instructions than all probes of a removal, and only refusals write one.
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

/// Traces, in an instance of its own, when the interrupt of a request comes and when the guest signals its refusal.
const TRACE_REFUSALS: &str = "mkdir /sys/kernel/tracing/instances/cost && cd /sys/kernel/tracing/instances/cost && \
    echo 'name == \"RAS_HOTPLUG\"' > events/irq/irq_handler_entry/filter && \
    echo 'name == \"set-indicator\"' > events/powerpc/rtas_input/filter && \
    echo 1 > events/irq/irq_handler_entry/enable && echo 1 > events/powerpc/rtas_input/enable && cd /root";

/// Counts the guest's instructions from the interrupt of a request for the last CPU to the call that refuses it, `rounds`
/// times. The first count is dropped, because caches are cold. Each count is in thousands: an instruction takes a
/// nanosecond of the guest's clock, and its trace tells microseconds.
pub fn refusal_instructions(combination: &Combination<'_>, rounds: usize) -> Result<Vec<f64>> {
    let Combination { artifacts, pairing, .. } = *combination;
    let start = Start::with_threads(Threads::Counting);
    let name = format!("cost.instructions.{combination}");
    let mut vm = Vm::launch_as(artifacts, pairing, Machine::Pseries, &start, &name)?.up()?;
    vm.guest.sh(TRACE_REFUSALS)?;
    let cpu = vm.plug_cpu(1)?;
    vm.put_boot_cpu_offline()?;
    let counts = (0..=rounds).map(|_| {
        vm.guest.sh("echo > /sys/kernel/tracing/instances/cost/trace")?;
        vm.outcome_of(&cpu, Outcome::Refused)?;
        let trace = vm.guest.sh("cat /sys/kernel/tracing/instances/cost/trace")?;
        microseconds_to_signal(&trace).with_context(|| format!("no interrupt with a signal after it in\n{trace}"))
    });
    let counts = counts.collect::<Result<Vec<f64>>>()?;
    vm.inspect()?;
    Ok(counts.into_iter().skip(1).collect())
}

/// Returns the time from the interrupt to the last call in a trace: before its answer, a guest may say that it has begun.
fn microseconds_to_signal(trace: &str) -> Option<f64> {
    let seconds = |line: &str, event: &str| -> Option<f64> {
        line.split_once(event)?.0.split_whitespace().next_back()?.parse().ok()
    };
    let mut lines = trace.lines();
    let interrupt = lines.find_map(|line| seconds(line, ": irq_handler_entry:"))?;
    let signal = lines.filter_map(|line| seconds(line, ": rtas_input:")).next_back()?;
    Some((signal - interrupt) * 1e6)
}

impl Vm {
    /// Counts `rounds` times without the module and with it, alternately. The first counts are dropped, because caches
    /// are cold.
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

    /// Counts the guest's instructions for a task and one more command.
    fn count(&mut self, something: impl FnOnce(&mut Self) -> Result<()>) -> Result<f64> {
        // Deferred work of the kernel ends first: probes are optimised some ticks after they were added.
        self.guest.sh("sleep 1")?;
        let before = self.instructions()?;
        something(self)?;
        self.guest.sh("true")?;
        Ok((self.instructions()? - before) as f64)
    }

    /// Requests a device, checks the outcome, and returns the latency.
    fn outcome_of(&mut self, device: &impl Device, outcome: Outcome) -> Result<Duration> {
        let removal = self.remove_untraced(device)?;
        ensure!(removal.outcome == outcome, "{} was {}", device.id(), removal.outcome);
        Ok(removal.latency)
    }

    /// Returns the number of instructions that the guest has executed.
    fn instructions(&mut self) -> Result<u64> {
        self.qmp.execute("query-replay", json!({}))?["icount"].as_u64().context("instructions are not counted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_a_signal_goes_from_the_interrupt_to_the_last_call() {
        let trace = "# TASK CPU\n <idle>-0 [001] d.h2.  6.720000: irq_handler_entry: irq=18 name=RAS_HOTPLUG\n \
                     kworker/u16:0-10 [001] dl.3.  6.720500: rtas_input: set-indicator arguments: {0x2329}\n \
                     kworker/u16:0-10 [001] dl.3.  6.720952: rtas_input: set-indicator arguments: {0x2329}\n";
        assert_eq!(microseconds_to_signal(trace).map(f64::round), Some(952.0));
        assert_eq!(microseconds_to_signal("# TASK CPU\n"), None);
    }
}
