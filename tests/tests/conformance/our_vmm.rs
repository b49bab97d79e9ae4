// SPDX-License-Identifier: MIT OR Apache-2.0

//! Patched VMM with guests that do not report: each refusal with a hint is one event, with the source `inferred`, and a
//! device can be requested again in any case.

use papr_unplug_tests::{
    device::Device as _,
    pairing::Pairing,
    removal::{Outcome, Retry},
    story::{scenario::Scenario, story},
};
use serde_json::json;

/// PUE-V-040, PUE-V-100
#[test]
fn last_cpu_of_a_stock_guest_is_refused_once_and_released_on_retry() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let expected = [json!(1), json!("inferred"), json!("unattributed")];
        assert_eq!(vm.remove(&cpu)?.refusal(["request", "source", "reason"])?, expected);
        Scenario::CpuLastOnline.relieve(vm)?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-V-050, PUE-V-101
#[test]
fn dimm_that_a_stock_guest_keeps_silent_about_is_listed_and_can_be_asked_for_again() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let dimm = Scenario::DimmFirstLmbBusy.arrange(vm)?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Silent);
        let expected = json!([{
            "request": 1, "device": dimm.id(), "path": format!("/machine/peripheral/{}", dimm.id()), "class": "memory",
            "promised": false, "started": false, "withheld": false, "hint": false,
        }]);
        assert_eq!(vm.pending()?, expected);
        Scenario::DimmFirstLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        assert_eq!(vm.pending()?, json!([]));
        Ok(())
    });
}

/// PUE-V-040: stock QEMU reports this refusal twice.
#[test]
fn dimm_with_later_lmb_busy_of_a_stock_guest_is_refused_once_and_released_on_retry() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let dimm = Scenario::DimmLaterLmbBusy.arrange(vm)?;
        assert_eq!(vm.remove(&dimm)?.refusal(["source"])?, [json!("inferred")]);
        Scenario::DimmLaterLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}
