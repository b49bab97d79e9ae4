// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests without number for one device.

use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    pairing::Pairing,
    removal::Outcome,
    story::{scenario::Scenario, story},
};
use serde_json::json;

/// PUE-G-012, PUE-G-020, PUE-G-030
#[test]
fn each_of_a_thousand_requests_for_the_last_cpu_is_reported_by_its_token() {
    story(Pairing::OURS, |vm| {
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let refusals = vm.request_repeatedly(&cpu, 1000)?;
        assert_eq!(refusals, [(json!("reported-by-token"), json!("last-cpu"), 1000)]);
        assert_eq!(vm.counters()?.get("withdrawn"), 0);
        Ok(())
    });
}

/// PUE-V-052: the guest refuses the DIMM in silence, and its requests stay open.
#[test]
fn requests_for_a_silent_device_leave_room_for_other_devices() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let cpu = vm.plug_cpu(1)?;
        vm.veto_offlining()?;
        for _ in 0..10_000 {
            let _accepted = vm.try_request(&dimm)?;
        }
        assert_eq!(vm.remove_untraced(&cpu)?.outcome, Outcome::Released);
        Ok(())
    });
}
