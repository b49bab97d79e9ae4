// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that stock QEMU does not make: for one LMB by its index, and for LMBs by count. `papr_fault.ko` makes them of those
//! that it does. These tests are a part of those of a kernel that answers, too.

use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    pairing::Pairing,
    removal::{Outcome, Retry},
    story::story,
    trigger::fault::rewritten,
    vm::Vm,
};
use papr_unplug_wire::wire::drc::DrcIndex;

/// PUE-G-050: stock Linux is silent about it.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn busy_lmb_that_is_asked_for_by_its_index_is_signalled_once_and_released_on_retry() {
    story(Pairing::STOCK, |vm| {
        refused_once(vm, |DrcIndex(lmb)| {
            let [a, b, c, d] = lmb.to_be_bytes();
            [2, 2, 2, 0, a, b, c, d, 0, 0, 0, 0]
        })
    });
}

/// PUE-G-050: stock Linux is silent about it. The request names no connector; the signal names the LMB that was busy.
#[test]
#[ignore = "boots a patched kernel: cargo xtask test --kernel hints"]
fn busy_lmb_that_is_asked_for_by_count_is_signalled_once_and_released_on_retry() {
    story(Pairing::STOCK, |vm| refused_once(vm, |_| [2, 2, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
}

/// Has the guest refuse a DIMM of one LMB that it is asked for in this way.
fn refused_once(vm: &mut Vm, request: fn(DrcIndex) -> [u8; 12]) -> anyhow::Result<()> {
    let dimm = vm.plug_dimm(ONE_LMB)?;
    vm.veto_offlining()?;
    vm.begin_fault(&rewritten(request(dimm.connector(0))))?;
    let removal = vm.remove(&dimm)?;
    assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(0)]));
    vm.end_fault()?;
    vm.allow_offlining()?;
    assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
    Ok(())
}
