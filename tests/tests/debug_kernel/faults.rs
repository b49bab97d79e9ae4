// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever fails in the guest's kernel while it removes things, every request is answered, once.

use anyhow::{Context as _, Result, ensure};
use papr_unplug_tests::{
    device::{
        Device,
        cpu::Cpu,
        dimm::{Dimm, ONE_LMB, TWO_LMBS},
    },
    pairing::Pairing,
    removal::Asked,
    story::story_on,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start, qmp::Event},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often all that is there is asked for: a CPU, a DIMM of one LMB, one of two.
const ROUNDS: u32 = 102;
/// How many CPUs can come in the life of a QEMU.
const CORES: u32 = 63;

/// How many DIMMs can be left behind with LMBs that the guest has lost: two of the four are asked for.
const SPARE_SLOTS: u32 = 2;

/// What the kernel itself does not survive without: names and files in sysfs of the device tree's properties
/// (`docs/adr/0062-allocations-excepted-from-fault-injection.md`).
const SPARED: [&str; 2] = ["kmalloc-32", "kernfs_node_cache"];

/// What is made to fail in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    /// Nothing.
    Nothing,
    /// One in five allocations of a slab, in workers.
    Slabs,
    /// One in five allocations of pages, in workers.
    Pages,
    /// Half of the atomic allocations of a slab, wherever.
    Atomic,
    /// Memory, by a notifier, and the CPU, in a state of its hotplug.
    Notifiers,
    /// The same for memory that goes, and also for what is then put back.
    Restoring,
}

const IN_TURN: [Failing; 6] =
    [Failing::Slabs, Failing::Nothing, Failing::Atomic, Failing::Notifiers, Failing::Pages, Failing::Restoring];

/// A device that is asked for again and again.
enum Target {
    Cpu(Cpu),
    Dimm(Dimm),
}

impl Device for Target {
    fn id(&self) -> &str {
        match self {
            Self::Cpu(cpu) => cpu.id(),
            Self::Dimm(dimm) => dimm.id(),
        }
    }
}

/// What became of the requests of one class: how many, by outcome.
type Outcomes = BTreeMap<String, u32>;

/// PUE-G-030, PUE-G-031
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn every_request_is_answered_once_whatever_fails() {
    story_on(Pairing::OURS, Machine::PseriesForLong, &Start::default(), |vm| {
        vm.spare_caches(&SPARED)?;
        let mut core = 0;
        let mut targets: [Option<Target>; 3] = [None, None, None];
        let mut lost = 0;
        let mut sent = BTreeMap::from([("cpu", 0), ("memory", 0)]);
        let mut outcomes: BTreeMap<&str, Outcomes> = BTreeMap::new();
        for round in 0..ROUNDS {
            for (slot, target) in targets.iter_mut().enumerate().filter(|(_, target)| target.is_none()) {
                if slot != 0 || core < CORES {
                    *target = Some(plug(vm, slot, &mut core)?);
                }
            }
            let failing = IN_TURN[round as usize % IN_TURN.len()];
            let before = vm.counters()?.get("requests");
            begin(vm, failing, &targets, before + targets.iter().flatten().count() as u64)?;
            let mut asked = Vec::new();
            for target in targets.iter().flatten() {
                asked.push(vm.ask_unwatched(target)?);
                *sent.get_mut(class(target)).unwrap() += 1;
            }
            let mut is_lost = false;
            for (asked, target) in asked.iter().zip(targets.iter_mut().filter(|target| target.is_some())) {
                await_told(vm, asked)?;
                let events = vm.told(asked)?;
                let outcome = outcome(&events)?;
                let class = class(target.as_ref().unwrap());
                *outcomes.entry(class).or_default().entry(outcome.clone()).or_default() += 1;
                is_lost |= outcome.starts_with("incomplete");
                if outcome == "released" {
                    let gone = target.take().unwrap();
                    if matches!(gone, Target::Dimm(_)) {
                        vm.qmp.execute("object-del", json!({ "id": format!("{}-ram", gone.id()) }))?;
                    }
                }
            }
            end(vm, failing)?;
            let [.., two] = &mut targets;
            if is_lost && lost < SPARE_SLOTS {
                // Asking for it again comes to the same for ever, so another one takes its turn. It stays where it is.
                lost += 1;
                *two = None;
            }
        }
        println!("{ROUNDS} rounds, and what became of the requests:");
        for (class, outcomes) in &outcomes {
            let received: u32 = outcomes.values().sum();
            println!("{class}: {} requests sent, {received} outcomes received: {outcomes:?}", sent[class]);
            assert_eq!(sent[class], received);
        }
        assert_eq!(vm.pending()?, json!([]));
        let counters = vm.counters()?;
        println!("the module's counters: {counters:?}");
        // A token is lost where a probe missed that a request came, and then the module says so.
        let without_token = outcomes.values().flatten().filter(|(outcome, _)| outcome.contains("in-order"));
        assert!(without_token.map(|(_, count)| u64::from(*count)).sum::<u64>() <= counters.get("withdrawn"));
        assert_eq!(counters.get("requests"), u64::from(sent.values().sum::<u32>()));
        assert_eq!(counters.get("released") + counters.get("refused"), counters.get("requests"));
        Ok(())
    });
}

/// PUE-G-012, PUE-G-031: also if a probe's handler runs as the kernel loses one, which hides that from the probe.
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn requests_that_are_lost_in_bursts_are_each_answered_by_name() {
    story_on(Pairing::OURS, Machine::PseriesForLong, &Start::default(), |vm| lost_in_bursts(vm, 100));
}

/// PUE-G-012, PUE-G-031
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn requests_that_are_lost_in_bursts_are_each_answered_by_name_where_interrupts_have_threads() {
    let start = Start::with_kernel_arguments("threadirqs");
    story_on(Pairing::OURS, Machine::PseriesForLong, &start, |vm| lost_in_bursts(vm, 30));
}

/// Asks for three DIMMs in one go, so often, while allocations fail, and sees that each refusal is told by its token.
fn lost_in_bursts(vm: &mut Vm, bursts: u64) -> Result<()> {
    vm.spare_caches(&SPARED)?;
    let dimms = [vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?];
    vm.veto_offlining()?;
    let mut outcomes = Outcomes::new();
    for burst in 1..=bursts {
        let command = has_counted(burst * dimms.len() as u64);
        vm.fail_atomic_allocations_until(30, &command, SUCCESS)?;
        let mut asked = Vec::new();
        for dimm in &dimms {
            asked.push(vm.ask_unwatched(dimm)?);
            // The next one comes while the probes are busy with this one.
            vm.await_begun(dimm)?;
        }
        for asked in &asked {
            await_told(vm, asked)?;
            *outcomes.entry(outcome(&vm.told(asked)?)?).or_default() += 1;
        }
        vm.console.wait_for(SUCCESS).context("waiting for allocations to succeed")?;
    }
    let counters = vm.counters()?;
    println!("{outcomes:?}; the module's counters: {counters:?}");
    assert!(outcomes.keys().all(|outcome| outcome.ends_with("(reported-by-token)")));
    assert_eq!(counters.get("requests"), bursts * dimms.len() as u64);
    Ok(())
}

/// Waits until the host is told of this request; if it is not, says what the host knows.
fn await_told(vm: &mut Vm, asked: &Asked) -> Result<()> {
    let Err(error) = vm.await_told(asked) else { return Ok(()) };
    Err(error.context(format!("requests that are open: {}", vm.pending()?)))
}

fn class(target: &Target) -> &'static str {
    match target {
        Target::Cpu(_) => "cpu",
        Target::Dimm(_) => "memory",
    }
}

fn plug(vm: &mut Vm, slot: usize, core: &mut u32) -> Result<Target> {
    Ok(match slot {
        0 => {
            *core += 1;
            Target::Cpu(vm.plug_cpu(*core)?)
        }
        1 => Target::Dimm(vm.plug_dimm(ONE_LMB)?),
        _ => Target::Dimm(vm.plug_dimm(TWO_LMBS)?),
    })
}

/// The outcome of a request, which must be one.
fn outcome(events: &[Event]) -> Result<String> {
    let [event] = events else { anyhow::bail!("a request had {} outcomes: {events:?}", events.len()) };
    if event.body.name() == "DEVICE_DELETED" {
        return Ok("released".to_owned());
    }
    let word = |name| event.body.data(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(word("source") != "inferred", "the guest did not report: {event:?}");
    Ok(format!("{} ({})", word("reason"), word("source")))
}

const SUCCESS: &str = "papr-unplug: allocations succeed again";

/// Succeeds in the guest once the module has seen so many requests to their end.
fn has_counted(requests: u64) -> String {
    format!("grep -q '^requests {requests}$' /sys/kernel/debug/papr_unplug/counters")
}

/// Prints the number of a state of CPU hotplug that every kernel has.
const STATE: &str = "sed -n 's/: *workqueue:online$//p' /sys/devices/system/cpu/hotplug/states";

fn begin(vm: &mut Vm, failing: Failing, targets: &[Option<Target>; 3], requests: u64) -> Result<()> {
    match failing {
        Failing::Nothing => Ok(()),
        Failing::Slabs => vm.fail_allocations("failslab", 20),
        Failing::Pages => vm.fail_allocations("fail_page_alloc", 20),
        Failing::Atomic => vm.fail_atomic_allocations_until(50, &has_counted(requests), SUCCESS),
        Failing::Notifiers | Failing::Restoring => {
            let [cpu, _, two] = targets;
            if let (Failing::Restoring, Some(Target::Dimm(dimm))) = (failing, two) {
                // The kernel takes it away without asking a notifier, and has to put it back. It may be there no more.
                let block = dimm.first_block();
                vm.guest.run(&format!("echo offline > /sys/devices/system/memory/memory{block}/state"))?;
                vm.guest.inject_memory_error("MEM_GOING_ONLINE", -12)?;
            }
            vm.veto_offlining()?;
            let Some(Target::Cpu(cpu)) = cpu else { return Ok(()) };
            let number = cpu.connector().0 & 0x0fff_ffff;
            // A CPU's number in the kernel is not its core's, once some are gone.
            let find = format!(
                "for cpu in /sys/devices/system/cpu/cpu[0-9]*; do \
                 if [ \"$(cat $cpu/physical_id)\" = {number} ]; then {STATE} > $cpu/hotplug/fail; fi; done"
            );
            vm.guest.run(&find)?;
            Ok(())
        }
    }
}

fn end(vm: &mut Vm, failing: Failing) -> Result<()> {
    match failing {
        Failing::Nothing => {}
        Failing::Slabs | Failing::Pages => {
            vm.guest.sh("for of in failslab fail_page_alloc; do echo 0 > /sys/kernel/debug/$of/probability; done")?;
        }
        Failing::Atomic => vm.console.wait_for(SUCCESS).context("waiting for allocations to succeed")?,
        Failing::Notifiers | Failing::Restoring => {
            vm.allow_offlining()?;
            vm.guest.inject_memory_error("MEM_GOING_ONLINE", 0)?;
        }
    }
    Ok(())
}
