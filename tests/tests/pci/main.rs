// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests for PCI devices and PHBs, which the guest's kernel leaves to user space: each has exactly one outcome,
//! whatever becomes of the programs there. The guests have Debian's kernel and its `rtas_errd` and `drmgr`.
//! `cargo xtask pci` runs these tests; `PAPR_UNPLUG_CPUS=2` gives each guest two CPUs.
//!
//! No test waits for silence: the guest's attempt is brought to its end, and then the guest or the host does one more
//! thing, which an event about the request would have come before.

mod agents;
mod bridge;
mod device_tree;
mod functions;
mod librtas;
mod lock;
mod many;
mod migration;
mod module;
mod own_agent;
mod phb;
mod probes;
mod reset;
mod snapshot;
mod soak;
mod vfio;

use anyhow::Result;
use papr_unplug_tests::{
    device::pci::{Function, Phb},
    pairing::Pairing,
    removal::{Outcome, Removal},
    report::occurrence::{Expectation, Means},
    story::story_on,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::{drc::DrcIndex, reason::Reason};
use serde_json::{Value, json};

/// Tells a story about a guest of [`Pairing::OURS`] with the distribution's programs and network cards.
fn on_distribution<F>(functions: &[&Function], tell: F)
where
    F: FnOnce(&mut Vm) -> Result<()>,
{
    story_on(Pairing::OURS, Machine::Pseries, &with(functions), tell);
}

/// Tells a story about a guest of [`Pairing::OURS`] with the distribution's programs and another PHB.
fn on_phb<F>(phb: &Phb, tell: F)
where
    F: FnOnce(&mut Vm) -> Result<()>,
{
    let start = Start::with_distribution(["-device".to_owned(), phb.option()]);
    story_on(Pairing::OURS, Machine::Pseries, &start, tell);
}

/// Returns options with the distribution's programs and network cards.
fn with(functions: &[&Function]) -> Start {
    Start::with_distribution(functions.iter().flat_map(|function| ["-device".to_owned(), function.option()]))
}

/// Returns the request and the reason of a refusal, which must be the only event about its request and answer it by
/// its token, and the exit status that it reports.
#[track_caller]
fn reported(removal: &Removal) -> (u64, String, u64) {
    let members = removal.refusal(["request", "source", "reason", "errno"]).unwrap();
    let [request, source, reason, errno] = &members;
    assert_eq!(source, "reported-by-token", "{members:?}");
    let reason = reason.as_str().unwrap_or_default().to_owned();
    (request.as_u64().unwrap_or_default(), reason, errno.as_u64().unwrap_or_default())
}

/// Returns the refusal by a connector that is expected of a guest's user space. `how` is the cause, for people.
fn refusal<'a>(drc: DrcIndex, reason: Reason, errno: i64, how: &'a str) -> Expectation<'a> {
    Expectation { means: Means::Natural, how, reason, errno, drc }
}

/// Checks that a device was released, and that this is all that was told about it.
#[track_caller]
fn is_released(removal: &Removal) {
    assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
    assert_eq!(removal.events.len(), 1, "{:?}", removal.events);
}

/// Requests a function that nothing stands in the way of, which must be released by one event, with nothing left open.
#[track_caller]
fn released(vm: &mut Vm, function: &Function) -> Result<()> {
    is_released(&vm.remove_pci(function)?);
    assert_eq!(open(vm)?, <[Value; 0]>::default());
    Ok(())
}

/// Returns the ids of the devices with open requests, one for each request.
fn open(vm: &mut Vm) -> Result<Vec<Value>> {
    let pending = vm.pending()?;
    Ok(pending.as_array().into_iter().flatten().map(|request| request["device"].clone()).collect())
}

/// Returns whether the only open request has been promised, and whether the guest has begun with it.
fn promised_and_started(vm: &mut Vm) -> Result<[Value; 2]> {
    let mut pending = vm.pending()?;
    assert_eq!(pending.as_array().map(Vec::len), Some(1), "{pending}");
    Ok(["promised", "started"].map(|member| pending[0][member].take()))
}

/// Returns the event that tells that a function was released.
fn deleted(function: &str) -> [Value; 2] {
    [json!("DEVICE_DELETED"), json!(function)]
}
