// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest without the module on stock QEMU: each refusal is signalled once, and the device can be asked for again at once.
//! A kernel that answers by itself does the same where nothing is offered, so these tests are a part of its tests, too.
//!
//! Stock QEMU makes two events of one UNISOLATE for a DIMM ([ADR 0004]), and one of an LMB that is configured again, which is
//! how it learns of a DIMM of which an LMB was brought back.
//!
//! [ADR 0004]: ../../../docs/adr/0004-stock-qemu-tells-a-refused-dimm-twice.md

use anyhow::Result;
use papr_unplug_tests::{
    device::dimm::{Dimm, ONE_LMB, TWO_LMBS},
    pairing::Pairing,
    removal::{Outcome, Retry},
    story::story,
    vm::Vm,
};
use papr_unplug_wire::wire::drc::DrcIndex;

/// Number of events that stock QEMU sends for one UNISOLATE of an LMB.
const EVENTS_OF_AN_LMB: usize = 2;

/// PUE-G-050
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn last_cpu_is_signalled_once_and_released_on_retry() {
    story(Pairing::STOCK, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        let removal = vm.remove(&cpu)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
        assert_eq!(removal.unisolated(), [cpu.connector()]);
        vm.put_boot_cpu_online()?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-050: stock Linux is silent about it.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn dimm_of_one_busy_lmb_is_signalled_once_and_released_on_retry() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        refused(vm, &dimm, EVENTS_OF_AN_LMB, &[dimm.connector(0)])?;
        released_on_retry(vm, &dimm)
    });
}

/// PUE-G-050: stock Linux is silent about it.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn dimm_with_first_lmb_busy_is_signalled_once_and_released_on_retry() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        for _ in 0..2 {
            refused(vm, &dimm, EVENTS_OF_AN_LMB, &[dimm.connector(0)])?;
        }
        released_on_retry(vm, &dimm)
    });
}

/// PUE-G-050: with stock Linux, stock QEMU tells it twice. Here the kernel only configures the first LMB again.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn dimm_with_later_lmb_busy_is_told_once_and_released_on_retry() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        refused(vm, &dimm, 1, &[])?;
        released_on_retry(vm, &dimm)
    });
}

/// PUE-G-050: the page structures of the second LMB are in the first one, and unmovable.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn dimm_with_unmovable_pages_is_signalled_each_time_it_is_asked_for() {
    story(Pairing::STOCK, |vm| {
        vm.set_online_type("online_kernel")?;
        let dimm = vm.plug_dimm_into(1, TWO_LMBS)?;
        for _ in 0..2 {
            refused(vm, &dimm, EVENTS_OF_AN_LMB, &[dimm.connector(0)])?;
        }
        Ok(())
    });
}

/// PUE-G-050
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn two_dimms_asked_for_together_each_get_their_own_outcome() {
    story(Pairing::STOCK, |vm| {
        let free = vm.plug_dimm(ONE_LMB)?;
        vm.set_online_type("online_kernel")?;
        let busy = vm.plug_dimm_into(1, TWO_LMBS)?;
        let (first, second) = (vm.request(&busy)??, vm.request(&free)??);
        assert_eq!(vm.watch(first)?.outcome, Outcome::Refused);
        assert_eq!(vm.watch(second)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-050
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn dimm_that_can_go_is_released_without_a_signal() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        let removal = vm.remove(&dimm)?;
        assert_eq!((removal.outcome, removal.events.len()), (Outcome::Released, 1));
        assert_eq!(removal.unisolated(), []);
        Ok(())
    });
}

/// PUE-G-046: stock firmware lets no guest give back an LMB for which no removal is pending, and stock Linux skips such
/// an LMB in every removal.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn dimm_whose_addition_failed_is_released() {
    for size in [ONE_LMB, TWO_LMBS] {
        story(Pairing::STOCK, |vm| {
            vm.veto_onlining()?;
            let dimm = vm.plug_dimm_that_fails(size)?;
            vm.allow_onlining()?;
            assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
            Ok(())
        });
    }
}

/// Requests a DIMM that is refused, and checks the number of events and the connectors that were unisolated.
fn refused(vm: &mut Vm, dimm: &Dimm, events: usize, unisolated: &[DrcIndex]) -> Result<()> {
    let removal = vm.remove(dimm)?;
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, events));
    assert_eq!(removal.unisolated(), unisolated);
    Ok(())
}

fn released_on_retry(vm: &mut Vm, dimm: &Dimm) -> Result<()> {
    vm.allow_offlining()?;
    assert_eq!(vm.retry(dimm)?, Retry::Accepted);
    Ok(())
}
