// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module on stock QEMU: each refusal is signalled once, by the kernel or else by the module. The host
//! sees it at once and may request the device again at once (PUE-G-050).
//!
//! The guest's trace shows that there is one signal. Stock QEMU makes one event of it for a CPU and two for a DIMM
//! (`drc_unisolate_logical()` sends one, and so does `spapr_memory_unplug_rollback()`, which it calls).
//!
//! Stock QEMU never requests memory by count, and cannot unplug an NVDIMM. The unit tests of `guest-module/logic` cover
//! these requests.

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

/// Number of events that stock QEMU sends for one signal for a DIMM.
const EVENTS_OF_A_DIMM: usize = 2;

/// PUE-G-050
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

/// PUE-G-050
#[test]
fn dimm_of_one_busy_lmb_is_signalled_by_the_module() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        refused(vm, &dimm, "told_by_module")?;
        released_on_retry(vm, &dimm)
    });
}

/// PUE-G-050
#[test]
fn dimm_with_first_lmb_busy_is_signalled_by_the_module() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        refused(vm, &dimm, "told_by_module")?;
        released_on_retry(vm, &dimm)
    });
}

/// PUE-G-050
#[test]
fn dimm_with_later_lmb_busy_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        refused(vm, &dimm, "told_by_kernel")?;
        released_on_retry(vm, &dimm)
    });
}

/// PUE-G-052: firmware takes no signal for a connector that the guest has given back.
#[test]
fn dimm_whose_first_lmb_was_given_back_is_signalled_on_the_one_that_is_busy() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        let write = vm.write_dlpar(&format!("memory remove index {}", dimm.connector(0)))?;
        assert_eq!(write.attempt.errno, 0);
        vm.veto_offlining()?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(1)]));
        Ok(())
    });
}

/// PUE-G-050: the page structures of the second LMB are in the first one, because the node has no other memory; they
/// are unmovable.
#[test]
fn dimm_with_unmovable_pages_is_signalled_each_time_it_is_asked_for() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        vm.set_online_type("online_kernel")?;
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        refused(vm, &dimm, "told_by_module")?;
        assert_eq!(vm.remove(&dimm)?.unisolated(), [dimm.connector(0)]);
        assert_eq!(vm.counters()?.get("told_by_module"), 2);
        Ok(())
    });
}

/// PUE-G-050: the page structures of another DIMM are in the second LMB, because the node has no other memory for the
/// kernel.
#[test]
fn dimm_with_unmovable_pages_in_later_lmb_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        vm.set_block(dimm.first_block() + 1, "offline")?;
        vm.set_block(dimm.first_block() + 1, "online_kernel")?;
        vm.plug_dimm_into(1, ONE_LMB)?;
        refused(vm, &dimm, "told_by_kernel")
    });
}

/// PUE-G-050
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

/// PUE-G-050
#[test]
fn dimm_whose_pages_are_held_is_pending_until_they_are_let_go_of() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let pages = vm.hold_pages()?;
        let request = vm.request(&dimm)??;
        vm.await_held_removal()?;
        assert_eq!(vm.events_about(&request)?.len(), 0);
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-050
#[test]
fn two_dimms_asked_for_together_each_get_their_own_outcome() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let free = vm.plug_dimm(ONE_LMB)?;
        vm.set_online_type("online_kernel")?;
        let busy = vm.plug_dimm_into(1, TWO_LMBS)?;
        let (first, second) = (vm.request(&busy)??, vm.request(&free)??);
        assert_eq!(vm.watch(first)?.outcome, Outcome::Refused);
        assert_eq!(vm.watch(second)?.outcome, Outcome::Released);
        assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("released", 1), ("requests", 2), ("told_by_module", 1)]);
        Ok(())
    });
}

/// Requests a DIMM that is refused, and checks that there was one signal, which `counter` of the module counts.
fn refused(vm: &mut Vm, dimm: &Dimm, counter: &'static str) -> anyhow::Result<()> {
    let removal = vm.remove(dimm)?;
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, EVENTS_OF_A_DIMM));
    assert_eq!(removal.unisolated(), [dimm.connector(0)]);
    assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), (counter, 1)]);
    Ok(())
}

fn released_on_retry(vm: &mut Vm, dimm: &Dimm) -> anyhow::Result<()> {
    vm.allow_offlining()?;
    assert_eq!(vm.retry(dimm)?, Retry::Accepted);
    Ok(())
}
