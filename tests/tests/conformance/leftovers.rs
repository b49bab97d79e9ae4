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

/// PUE-V-074, PUE-V-076: the guest takes no event before the smaller DIMM has taken the place of the larger one. It would fail to add
/// the larger one, and give the LMB of the smaller one back.
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
