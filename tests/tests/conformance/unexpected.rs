// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest whose kernel or platform is not as the module expects it. The test module `papr_fault.ko` makes it so.

use papr_unplug_tests::{
    device::dimm::ONE_LMB, pairing::Pairing, removal::Outcome, story::story, vmm::promise::CLASSES,
};
use serde_json::json;

/// PUE-G-011, PUE-G-017: a source whose interrupt the kernel does not handle is none.
#[test]
fn nothing_is_promised_where_the_kernel_does_not_handle_hot_plug_events() {
    story(Pairing::OURS, |vm| {
        vm.unload_module()?;
        vm.end_hotplug_events()?;
        vm.load_module()?;
        assert_eq!(vm.armed()?, json!([]));
        let said = "no source of hot plug events: no answer can be promised";
        assert!(vm.kernel_log()?.iter().any(|line| line.contains(said)));
        Ok(())
    });
}

/// PUE-G-011: an event that is not where firmware writes events is not believed.
#[test]
fn event_that_looks_otherwise_withdraws_the_promise_for_good_and_is_logged_once() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        for _ in 0..2 {
            vm.begin_stray_event()?;
            vm.await_armed(&[])?;
            vm.end_fault()?;
        }
        vm.veto_offlining()?;
        for _ in 0..2 {
            assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
            assert_eq!(vm.armed()?, json!([]));
        }
        assert_eq!(vm.counters()?.get("withdrawn"), 1);
        let said = "this kernel handles hot plug events otherwise: no answer is promised";
        assert_eq!(vm.kernel_log()?.iter().filter(|line| line.contains(said)).count(), 1);
        Ok(())
    });
}

/// PUE-G-041: a guest that resumes on another platform is told by its device tree.
#[test]
fn offer_that_changes_is_read_again_and_armed_anew() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.begin_fault("property=papr-unplug,unplug-status")?;
        vm.await_armed(&CLASSES)?;
        assert_eq!(vm.counters()?.get("withdrawn"), 2);
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!("reported-by-token")]);
        Ok(())
    });
}
