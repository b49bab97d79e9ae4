// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removals that the guest's administrator requests: the module sends nothing about them (PUE-G-051).

use papr_unplug_tests::{
    device::dimm::{Dimm, ONE_LMB, TWO_LMBS},
    observe::trace::Asker,
    pairing::Pairing,
    removal::Outcome,
    story::story,
    vm::Vm,
};

/// PUE-G-051
#[test]
fn failed_removal_of_one_lmb_sends_nothing() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        fails_and_sends_nothing(vm, &format!("memory remove index {}", dimm.connector(0)))
    });
}

/// PUE-G-051
#[test]
fn failed_removal_by_indexed_count_sends_nothing() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        fails_and_sends_nothing(vm, &format!("memory remove indexed-count 2 {}", dimm.connector(0)))
    });
}

/// PUE-G-051
#[test]
fn failed_removal_by_count_sends_nothing() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let _dimm: Dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        fails_and_sends_nothing(vm, "memory remove count 2")
    });
}

/// PUE-G-051
#[test]
fn removal_of_the_last_cpu_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        let write = vm.write_dlpar(&format!("cpu remove index {}", cpu.connector()))?;
        assert_eq!(write.unisolated(), [cpu.connector()]);
        assert_eq!(vm.counters()?.nonzero(), [("guest_initiated", 1)]);
        Ok(())
    });
}

/// PUE-G-051: the request is open because the guest refused it before the module was loaded.
#[test]
fn failed_removal_ends_no_open_request() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let request = vm.request(&dimm)??;
        vm.trace.attempt(&mut vm.guest)?;
        vm.load_module()?;
        fails_and_sends_nothing(vm, &format!("memory remove indexed-count 2 {}", dimm.connector(0)))?;
        assert_eq!(vm.events_about(&request)?.len(), 0);
        Ok(())
    });
}

/// PUE-G-051
#[test]
fn failed_removal_leaves_the_next_request_its_own_outcome() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        fails_and_sends_nothing(vm, &format!("memory remove index {}", dimm.connector(0)))?;
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

fn fails_and_sends_nothing(vm: &mut Vm, request: &str) -> anyhow::Result<()> {
    let write = vm.write_dlpar(request)?;
    assert_eq!(write.attempt.asker, Asker::Administrator);
    assert!(write.attempt.errno < 0, "{request} succeeded");
    assert_eq!(write.calls, []);
    assert_eq!(vm.counters()?.nonzero(), [("guest_initiated", 1)]);
    Ok(())
}
