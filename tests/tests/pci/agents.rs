// SPDX-License-Identifier: MIT OR Apache-2.0

//! Agents that are absent, die, or do not do what they are for.

use crate::{on_distribution, open, released};
use papr_unplug_tests::{device::pci::Function, removal::Outcome};
use serde_json::json;

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_with_an_idle_agent_is_released() {
    let cards = [Function::new(1), Function::new(2)];
    on_distribution(&[&cards[0], &cards[1]], |vm| {
        vm.start_agent()?;
        released(vm, &cards[0])?;
        released(vm, &cards[1])?;
        assert_eq!(vm.counters()?.get("withdrawn"), 0);
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_agent_is_killed_while_drmgr_works_is_released() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        let request = vm.request_untraced(&card)?;
        vm.await_drmgr()?;
        vm.kill_agent()?;
        let removal = vm.watch_untraced(&request)?;
        assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
        assert_eq!(vm.events_about(&request)?.len(), 1);
        assert_eq!(open(vm)?, [json!(null); 0]);
        Ok(())
    });
}
