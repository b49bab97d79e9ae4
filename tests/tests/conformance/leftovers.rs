// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connectors and events that are left over from earlier additions and removals: each device can still be released.

use papr_unplug_tests::{
    device::dimm::{ONE_LMB, TWO_LMBS},
    pairing::Pairing,
    removal::Outcome,
    story::{story, story_on},
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::json;

/// PUE-V-067: powerpc-utils issue 60.
#[test]
fn dimm_with_an_lmb_that_was_removed_inside_the_guest_is_released() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        assert_eq!(vm.write_dlpar(&format!("memory remove index {}", dimm.connector(0)))?.attempt.errno, 0);
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-V-067
#[test]
fn lmb_that_was_removed_inside_the_guest_can_be_added_again() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        for request in ["remove", "add"] {
            let write = vm.write_dlpar(&format!("memory {request} index {}", dimm.connector(0)))?;
            assert_eq!(write.attempt.errno, 0, "{request}");
        }
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-V-054, PUE-V-067: the kernel has given back the LMBs that it could not add.
#[test]
fn dimm_whose_addition_failed_is_released() {
    story(Pairing::OURS, |vm| {
        vm.veto_onlining()?;
        let dimm = vm.plug_dimm_that_fails(TWO_LMBS)?;
        vm.allow_onlining()?;
        assert_eq!(vm.remove_untraced(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-046: stock firmware lets no guest give back an LMB for which no removal is pending, and stock Linux skips such
/// an LMB in every removal. The module gives it back once a removal is pending. The kernel tries one LMB only.
#[test]
fn dimm_whose_addition_failed_is_released_by_stock_firmware() {
    for size in [ONE_LMB, TWO_LMBS] {
        story(Pairing::OURS_ON_STOCK, |vm| {
            vm.veto_onlining()?;
            let dimm = vm.plug_dimm_that_fails(size)?;
            vm.allow_onlining()?;
            assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
            assert_eq!(vm.counters()?.get("recovered"), 1);
            Ok(())
        });
    }
}

/// PUE-V-074, PUE-V-076: Launchpad bug 1718118. The guest is interrupted for events about DIMMs that are gone. (It does
/// not run while DIMMs come and go: QEMU 10.0.13 may then fail in `iotlb_to_section()`.)
#[test]
fn dimms_that_are_attached_and_detached_in_a_loop_leave_nothing_to_the_next_one() {
    story(Pairing::OURS, |vm| {
        for _ in 0..10 {
            vm.qmp.execute("stop", json!({}))?;
            for _ in 0..5 {
                vm.add_and_delete_dimm(TWO_LMBS)?;
            }
            vm.qmp.execute("cont", json!({}))?;
            vm.guest.sh("true")?;
        }
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-V-074, PUE-V-076: the guest takes no event before the smaller DIMM has taken the place of the larger one. It
/// would fail to add the larger one, and give the LMB of the smaller one back.
#[test]
fn dimm_that_takes_the_place_of_a_larger_one_is_configured_and_released() {
    story(Pairing::OURS, |vm| {
        vm.qmp.execute("stop", json!({}))?;
        vm.add_and_delete_dimm(TWO_LMBS)?;
        let dimm = vm.add_dimm_unconfigured(ONE_LMB)?;
        vm.qmp.execute("cont", json!({}))?;
        vm.await_configured()?;
        assert_eq!(vm.remove_untraced(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-V-020: QEMU looks for the connector of a core by the number of its first thread.
#[test]
fn core_is_released_where_threads_are_spread_further_than_they_are_used() {
    let start = Start::with_options(["-machine", "vsmt=8"]);
    story_on(Pairing::OURS, Machine::PseriesOfTwoThreads, &start, |vm| {
        let core = vm.plug_cpu(2)?;
        assert_eq!(vm.remove(&core)?.outcome, Outcome::Released);
        Ok(())
    });
}
