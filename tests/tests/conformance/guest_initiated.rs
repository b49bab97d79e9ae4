// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removals that the guest's administrator asks for are none of the host's business: the module sends nothing for them
//! (PUE-G-051).

use papr_unplug_tests::{
    device::dimm::{Dimm, ONE_LMB, TWO_LMBS},
    observe::trace::Asker,
    pairing::Pairing,
    removal::Outcome,
    story::story,
    vm::Vm,
};

#[test]
fn errand_for_one_lmb_that_fails_sends_nothing() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        fails_without_a_word(vm, &format!("memory remove index {}", dimm.connector(0)))
    });
}

#[test]
fn errand_for_lmbs_by_indexed_count_that_fails_sends_nothing() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        fails_without_a_word(vm, &format!("memory remove indexed-count 2 {}", dimm.connector(0)))
    });
}

#[test]
fn errand_for_lmbs_by_count_that_fails_sends_nothing() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let _dimm: Dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        fails_without_a_word(vm, "memory remove count 2")
    });
}

#[test]
fn errand_for_the_last_cpu_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        let errand = vm.run_errand(&format!("cpu remove index {}", cpu.connector()))?;
        assert_eq!(errand.unisolated(), [cpu.connector()]);
        assert_eq!(vm.counters()?.nonzero(), [("guest_initiated", 1)]);
        Ok(())
    });
}

/// The host's request is open because it was refused before the module came.
#[test]
fn errand_that_fails_is_not_charged_to_an_open_request() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let asked = vm.ask(&dimm)??;
        vm.trace.attempt(&mut vm.guest)?;
        vm.load_module()?;
        fails_without_a_word(vm, &format!("memory remove indexed-count 2 {}", dimm.connector(0)))?;
        assert_eq!(vm.told(&asked)?.len(), 0);
        Ok(())
    });
}

#[test]
fn errand_that_fails_leaves_the_next_request_its_own_outcome() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        fails_without_a_word(vm, &format!("memory remove index {}", dimm.connector(0)))?;
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

fn fails_without_a_word(vm: &mut Vm, request: &str) -> anyhow::Result<()> {
    let errand = vm.run_errand(request)?;
    assert_eq!(errand.attempt.asker, Asker::Administrator);
    assert!(errand.attempt.errno < 0, "{request} succeeded");
    assert_eq!(errand.calls, []);
    assert_eq!(vm.counters()?.nonzero(), [("guest_initiated", 1)]);
    Ok(())
}
