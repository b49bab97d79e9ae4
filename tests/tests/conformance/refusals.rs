// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a guest with the module does: each refusal is signalled once, by the kernel or else by the module, and the host is
//! told at once and may ask again at once (PUE-G-050).
//!
//! *Once* is shown by the guest's trace. What stock QEMU makes of one signal is its own affair: one event for a CPU, two
//! for a DIMM (`drc_unisolate_logical()` sends one, and so does the `spapr_memory_unplug_rollback()` that it calls).
//!
//! Two kinds of request cannot be had from stock QEMU: it never asks for memory by count, and cannot unplug an NVDIMM. The
//! unit tests of `guest-module/logic` go through these.

use papr_unplug_tests::{
    device::{
        cpu::Cpu,
        dimm::{Dimm, ONE_LMB, TWO_LMBS},
    },
    pairing::Pairing,
    removal::{Outcome, Retry},
    story::story,
    vm::Vm,
};

/// What stock QEMU makes of one signal for a DIMM.
const EVENTS_OF_A_DIMM: usize = 2;

#[test]
fn cpu_last_online_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let cpu: Cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;

        let removal = vm.remove(&cpu)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
        assert_eq!(removal.unisolated(), [cpu.connector()]);
        assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_kernel", 1)]);

        vm.put_boot_cpu_online()?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

#[test]
fn dimm_of_one_busy_lmb_is_signalled_by_the_module() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        refused_by_the_module(vm, &dimm)?;
        vm.allow_offlining()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

#[test]
fn dimm_with_first_lmb_busy_is_signalled_by_the_module() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        refused_by_the_module(vm, &dimm)?;
        vm.allow_offlining()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

#[test]
fn dimm_with_later_lmb_busy_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        refused_by_the_kernel(vm, &dimm)?;
        vm.allow_offlining()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// Firmware would not take a signal for a connector that is no longer the guest's (PUE-G-052).
#[test]
fn dimm_whose_first_lmb_was_given_back_is_signalled_on_the_one_that_is_busy() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        let errand = vm.run_errand(&format!("memory remove index {}", dimm.connector(0)))?;
        assert_eq!(errand.attempt.errno, 0);
        vm.veto_offlining()?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(1)]));
        Ok(())
    });
}

/// The vmemmap of a DIMM's second LMB is in its first one, if that is the only memory of its node: it cannot be moved.
#[test]
fn dimm_with_unmovable_pages_is_signalled_each_time_it_is_asked_for() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        vm.set_online_type("online_kernel")?;
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        refused_by_the_module(vm, &dimm)?;
        assert_eq!(vm.remove(&dimm)?.unisolated(), [dimm.connector(0)]);
        assert_eq!(vm.counters()?.get("told_by_module"), 2);
        Ok(())
    });
}

/// The vmemmap of another DIMM is in this one's second LMB, as that is the only memory of its node for the kernel.
#[test]
fn dimm_with_unmovable_pages_in_later_lmb_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        vm.set_block(dimm.first_block() + 1, "offline")?;
        vm.set_block(dimm.first_block() + 1, "online_kernel")?;
        vm.plug_dimm_into(1, ONE_LMB)?;
        refused_by_the_kernel(vm, &dimm)
    });
}

#[test]
fn dimm_that_can_go_is_released_without_a_signal() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Released, 1));
        assert_eq!(removal.unisolated(), []);
        assert_eq!(vm.counters()?.nonzero(), [("released", 1), ("requests", 1)]);
        Ok(())
    });
}

#[test]
fn dimm_whose_pages_are_held_is_pending_until_they_are_let_go_of() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let holder = vm.hold_pages()?;
        let asked = vm.ask(&dimm)??;
        vm.await_held_removal()?;
        assert_eq!(vm.told(&asked)?.len(), 0);
        vm.let_go(holder)?;
        assert_eq!(vm.watch(asked)?.outcome, Outcome::Released);
        Ok(())
    });
}

#[test]
fn two_dimms_asked_for_together_each_get_their_own_outcome() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let free = vm.plug_dimm(ONE_LMB)?;
        vm.set_online_type("online_kernel")?;
        let busy = vm.plug_dimm_into(1, TWO_LMBS)?;
        let (first, second) = (vm.ask(&busy)??, vm.ask(&free)??);
        assert_eq!(vm.watch(first)?.outcome, Outcome::Refused);
        assert_eq!(vm.watch(second)?.outcome, Outcome::Released);
        assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("released", 1), ("requests", 2), ("told_by_module", 1)]);
        Ok(())
    });
}

fn refused_by_the_module(vm: &mut Vm, dimm: &Dimm) -> anyhow::Result<()> {
    let removal = vm.remove(dimm)?;
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, EVENTS_OF_A_DIMM));
    assert_eq!(removal.unisolated(), [dimm.connector(0)]);
    assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_module", 1)]);
    Ok(())
}

fn refused_by_the_kernel(vm: &mut Vm, dimm: &Dimm) -> anyhow::Result<()> {
    let removal = vm.remove(dimm)?;
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, EVENTS_OF_A_DIMM));
    assert_eq!(removal.unisolated(), [dimm.connector(0)]);
    assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_kernel", 1)]);
    Ok(())
}
