// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rounds of requests while something fails in the guest's kernel: each request must end exactly once.

use crate::{
    device::{
        Device,
        cpu::Cpu,
        dimm::{Dimm, ONE_LMB, TWO_LMBS},
    },
    removal::Request,
    soak::ledger::Class,
    vm::Vm,
    vmm::qmp::Event,
};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Number of CPUs that can be added in the life of one QEMU.
const CORES: u32 = 63;
/// Number of DIMMs that can be left behind with LMBs that the guest has lost: two of the four slots are in use.
const SPARE_SLOTS: u32 = 2;
/// Slab caches whose failures the kernel itself does not survive: names and files in sysfs of the device tree's
/// properties (`docs/adr/0062-allocations-excepted-from-fault-injection.md`).
const SPARED_CACHES: [&str; 2] = ["kmalloc-32", "kernfs_node_cache"];
/// Line of the kernel log at the end of failing atomic allocations.
const ALLOCATIONS_SUCCEED: &str = "papr-unplug: allocations succeed again";
/// Prints the number of a CPU hotplug state that every kernel has.
const STATE: &str = "sed -n 's/: *workqueue:online$//p' /sys/devices/system/cpu/hotplug/states";

/// Operations of the kernel that fail during a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No operation.
    Nothing,
    /// One in five slab allocations of kernel workers.
    Slabs,
    /// One in five page allocations of kernel workers.
    Pages,
    /// Half of all atomic slab allocations.
    Atomic,
    /// Memory offlining, by a notifier, and a CPU hotplug state.
    Notifiers,
    /// As [`Fault::Notifiers`], and also the onlining of memory that the kernel puts back.
    Restoring,
}

/// Faults of consecutive rounds.
pub const FAULTS: [Fault; 6] =
    [Fault::Slabs, Fault::Nothing, Fault::Atomic, Fault::Notifiers, Fault::Pages, Fault::Restoring];

/// Devices that are requested in each round: a core, a DIMM of one LMB, and a DIMM of two.
#[derive(Debug, Default)]
pub struct Rounds {
    core: Option<Cpu>,
    small: Option<Dimm>,
    large: Option<Dimm>,
    cores_added: u32,
    dimms_lost: u32,
    /// Number of outcomes by class and kind.
    pub outcomes: Outcomes,
    /// Number of requests by class.
    pub sent: BTreeMap<Class, u32>,
}

/// Number of outcomes by class and kind.
#[derive(Debug, Default)]
pub struct Outcomes(BTreeMap<(Class, String), u32>);

impl Rounds {
    /// Prepares a guest, which must have a kernel with fault injection.
    pub fn begin(vm: &mut Vm) -> Result<Self> {
        vm.spare_caches(&SPARED_CACHES)?;
        Ok(Self::default())
    }

    /// Adds the devices that are missing, requests all of them under the fault, and waits for the outcomes.
    pub fn play(&mut self, vm: &mut Vm, fault: Fault) -> Result<()> {
        self.plug_missing(vm)?;
        let devices = self.devices();
        let counted = vm.counters()?.get("requests") + devices.len() as u64;
        self.begin_fault(vm, fault, counted)?;
        let mut requests = Vec::new();
        for (id, class) in devices {
            requests.push((class, vm.request_untraced(&id)?, id));
            *self.sent.entry(class).or_default() += 1;
        }
        for (class, request, id) in requests {
            self.finish(vm, class, &request, &id)?;
        }
        end_fault(vm, fault)
    }

    fn plug_missing(&mut self, vm: &mut Vm) -> Result<()> {
        if self.core.is_none() && self.cores_added < CORES {
            self.cores_added += 1;
            self.core = Some(vm.plug_cpu(self.cores_added)?);
        }
        if self.small.is_none() {
            self.small = Some(vm.plug_dimm(ONE_LMB)?);
        }
        if self.large.is_none() {
            self.large = Some(vm.plug_dimm(TWO_LMBS)?);
        }
        Ok(())
    }

    fn devices(&self) -> Vec<(String, Class)> {
        let core = self.core.iter().map(|core| (core.id().to_owned(), Class::Cpu));
        core.chain([&self.small, &self.large].into_iter().flatten().map(|dimm| (dimm.id().to_owned(), Class::Memory)))
            .collect()
    }

    /// Waits for the outcome of a request, and forgets a device that was released.
    fn finish(&mut self, vm: &mut Vm, class: Class, request: &Request, id: &str) -> Result<()> {
        let outcome = outcome_of(vm, request)?;
        let is = |device: &Option<Dimm>| device.as_ref().is_some_and(|dimm| dimm.id() == id);
        let is_large = is(&self.large);
        if outcome == "released" {
            if class == Class::Cpu {
                self.core = None;
            }
            self.small.take_if(|dimm| dimm.id() == id);
            self.large.take_if(|dimm| dimm.id() == id);
            vm.forget(id)?;
        } else if outcome.starts_with("incomplete") && is_large && self.dimms_lost < SPARE_SLOTS {
            // Every further request for it would end in the same way, so another DIMM takes its place. It stays
            // plugged.
            self.dimms_lost += 1;
            self.large = None;
        }
        self.outcomes.count(class, outcome);
        Ok(())
    }

    /// Makes operations fail; atomic allocations until the module has counted `requests` requests.
    fn begin_fault(&self, vm: &mut Vm, fault: Fault, requests: u64) -> Result<()> {
        match fault {
            Fault::Nothing => Ok(()),
            Fault::Slabs => vm.fail_allocations("failslab", 20),
            Fault::Pages => vm.fail_allocations("fail_page_alloc", 20),
            Fault::Atomic => fail_atomic_allocations(vm, 50, requests),
            Fault::Notifiers => self.begin_vetoes(vm),
            Fault::Restoring => {
                if let Some(dimm) = &self.large {
                    // The kernel removes an offline LMB without a call to the notifiers, and has to put it back. The
                    // LMB may be lost by now.
                    let block = dimm.first_block();
                    vm.guest.run(&format!("echo offline > /sys/devices/system/memory/memory{block}/state"))?;
                    vm.guest.inject_memory_error("MEM_GOING_ONLINE", -12)?;
                }
                self.begin_vetoes(vm)
            }
        }
    }

    fn begin_vetoes(&self, vm: &mut Vm) -> Result<()> {
        vm.veto_offlining()?;
        let Some(core) = &self.core else { return Ok(()) };
        let number = core.connector().0 & 0x0fff_ffff;
        // Once CPUs have been removed, the kernel's number of a CPU differs from its core id.
        vm.guest.run(&format!(
            "for cpu in /sys/devices/system/cpu/cpu[0-9]*; do \
             if [ \"$(cat $cpu/physical_id)\" = {number} ]; then {STATE} > $cpu/hotplug/fail; fi; done"
        ))?;
        Ok(())
    }
}

fn end_fault(vm: &mut Vm, fault: Fault) -> Result<()> {
    match fault {
        Fault::Nothing => Ok(()),
        Fault::Slabs | Fault::Pages => {
            let command = "for of in failslab fail_page_alloc; do echo 0 > /sys/kernel/debug/$of/probability; done";
            vm.guest.sh(command).map(drop)
        }
        Fault::Atomic => await_allocations(vm),
        Fault::Notifiers | Fault::Restoring => {
            vm.allow_offlining()?;
            vm.guest.inject_memory_error("MEM_GOING_ONLINE", 0)
        }
    }
}

/// Requests a device while all atomic allocations fail, until the module has counted a dropped request. Returns the
/// events about the request.
pub fn lose_request(vm: &mut Vm, device: &impl Device) -> Result<Vec<Event>> {
    let dropped = vm.counters()?.get("dropped") + 1;
    let has_dropped = format!("grep -q '^dropped {dropped}$' /sys/kernel/debug/papr_unplug/counters");
    vm.fail_atomic_allocations_until(100, &has_dropped, ALLOCATIONS_SUCCEED)?;
    let request = vm.request_untraced(device)?;
    vm.await_outcome(&request)?;
    await_allocations(vm)?;
    vm.events_about(&request)
}

/// Requests three DIMMs at once, `bursts` times, while atomic allocations fail.
pub fn lose_requests_in_bursts(vm: &mut Vm, bursts: u64) -> Result<Outcomes> {
    vm.spare_caches(&SPARED_CACHES)?;
    let dimms = [vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?];
    vm.veto_offlining()?;
    let mut outcomes = Outcomes::default();
    for burst in 1..=bursts {
        fail_atomic_allocations(vm, 30, burst * dimms.len() as u64)?;
        let mut requests = Vec::new();
        for dimm in &dimms {
            requests.push(vm.request_untraced(dimm)?);
            // The next request comes while the probes handle this one.
            vm.await_begun(dimm)?;
        }
        for request in &requests {
            outcomes.count(Class::Memory, outcome_of(vm, request)?);
        }
        await_allocations(vm)?;
    }
    Ok(outcomes)
}

/// Makes `percent` of the atomic slab allocations fail until the module has counted `requests` requests.
fn fail_atomic_allocations(vm: &mut Vm, percent: u32, requests: u64) -> Result<()> {
    let has_counted = format!("grep -q '^requests {requests}$' /sys/kernel/debug/papr_unplug/counters");
    vm.fail_atomic_allocations_until(percent, &has_counted, ALLOCATIONS_SUCCEED)
}

fn await_allocations(vm: &mut Vm) -> Result<()> {
    vm.console.wait_for(ALLOCATIONS_SUCCEED).context("waiting for allocations to succeed")
}

/// Waits for the outcome of a request, which must be exactly one event.
fn outcome_of(vm: &mut Vm, request: &Request) -> Result<String> {
    if let Err(error) = vm.await_outcome(request) {
        return Err(error.context(format!("open requests: {}", vm.pending()?)));
    }
    let events = vm.events_about(request)?;
    let [Event { body, .. }] = events.as_slice() else { bail!("{} outcomes of a request: {events:?}", events.len()) };
    if body.name() == "DEVICE_DELETED" {
        return Ok("released".to_owned());
    }
    let word = |name| body.data(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(word("source") != "inferred", "the guest did not report: {body:?}");
    Ok(format!("{} ({})", word("reason"), word("source")))
}

impl Outcomes {
    fn count(&mut self, class: Class, outcome: String) {
        *self.0.entry((class, outcome)).or_default() += 1;
    }

    /// Returns the number of outcomes of a class.
    pub fn of(&self, class: Class) -> u32 {
        self.0.iter().filter(|((of, _), _)| *of == class).map(|(_, count)| count).sum()
    }

    /// Returns the number of outcomes that were not reported by a token.
    pub fn without_token(&self) -> u32 {
        let by_token = |outcome: &str| outcome == "released" || outcome.ends_with("(reported-by-token)");
        self.0.iter().filter(|((_, outcome), _)| !by_token(outcome)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((class, outcome), count) in &self.0 {
            writeln!(f, "{class}: {count:>6} {outcome}")?;
        }
        Ok(())
    }
}
