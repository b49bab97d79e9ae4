// SPDX-License-Identifier: MIT OR Apache-2.0

//! What our VMM makes of guests that do not report: each refusal that they hint at is one event, which says that it is
//! inferred; and a device can be asked for again whatever the guest did.

use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    device::Device as _,
    pairing::Pairing,
    removal::{Outcome, Removal, Retry},
    story::{scenario::Scenario, story},
    vmm::qmp::Event,
};
use serde_json::{Value, json};

/// PUE-V-040, PUE-V-100
#[test]
fn last_cpu_of_a_stock_guest_is_refused_once_and_released_on_retry() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let event = refused_once(vm.remove(&cpu)?)?;
        assert_eq!(told(&event), (1.into(), "inferred".into(), "unattributed".into()));
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
            "promised": false, "started": false, "hint": false,
        }]);
        assert_eq!(vm.pending()?, expected);
        Scenario::DimmFirstLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        assert_eq!(vm.pending()?, json!([]));
        Ok(())
    });
}

/// Stock QEMU tells it twice.
#[test]
fn dimm_with_later_lmb_busy_of_a_stock_guest_is_refused_once_and_released_on_retry() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let dimm = Scenario::DimmLaterLmbBusy.arrange(vm)?;
        refused_once(vm.remove(&dimm)?)?;
        Scenario::DimmLaterLmbBusy.relieve(vm)?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

fn refused_once(removal: Removal) -> Result<Event> {
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
    removal.events.into_iter().next().context("no event")
}

/// Request, source and reason.
fn told(event: &Event) -> (Value, Value, Value) {
    let member = |name| event.body.data(name).cloned().unwrap_or_default();
    (member("request"), member("source"), member("reason"))
}
