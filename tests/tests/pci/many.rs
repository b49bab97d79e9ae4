// SPDX-License-Identifier: MIT OR Apache-2.0

//! More requests than the kernel's log has room for events (64).

use crate::{on_distribution, open, released};
use anyhow::Result;
use papr_unplug_tests::{device::pci::Function, vm::Vm, vmm::qmp::Moment};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn sixty_five_requests_for_a_stopped_agent_have_an_outcome_each() {
    let cards = [1, 2, 3, 4].map(Function::new);
    on_distribution(&cards.each_ref(), |vm| each_has_an_outcome(vm, &cards, 65));
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn two_hundred_requests_for_a_stopped_agent_have_an_outcome_each() {
    let cards = [1, 2, 3, 4].map(Function::new);
    on_distribution(&cards.each_ref(), |vm| each_has_an_outcome(vm, &cards, 200));
}

/// Requests cards in turn while the agent is stopped, and kills the agent. Each request must have one outcome, and each
/// card must go when it is asked for again.
fn each_has_an_outcome(vm: &mut Vm, cards: &[Function], number: usize) -> Result<()> {
    vm.start_agent()?;
    vm.signal("STOP", "rtas_errd")?;
    let first = vm.qmp.moment();
    for card in cards.iter().cycle().take(number) {
        let _request = vm.request_untraced(card)?;
    }
    vm.kill_agent()?;
    await_outcomes(vm, first, number)?;
    assert_eq!(open(vm)?, <[Value; 0]>::default());
    vm.start_agent()?;
    cards.iter().try_for_each(|card| released(vm, card))
}

/// Waits until as many refusals have come, and checks that each is of another request.
fn await_outcomes(vm: &mut Vm, first: Moment, number: usize) -> Result<()> {
    let mut last = first;
    for _ in 0..number {
        vm.qmp.wait_for(last, "the outcome of a request", |event| event.name() == "DEVICE_UNPLUG_GUEST_ERROR")?;
        last = vm.qmp.after_first(last, |event| event.name() == "DEVICE_UNPLUG_GUEST_ERROR");
    }
    vm.qmp.round_trip()?;
    let events = vm.qmp.since(first).iter().filter(|event| event.body.name() == "DEVICE_UNPLUG_GUEST_ERROR");
    let requests: Vec<u64> = events.filter_map(|event| event.body.data("request").and_then(Value::as_u64)).collect();
    assert_eq!(requests.len(), number);
    assert_eq!(requests.iter().collect::<BTreeSet<_>>().len(), number, "{requests:?}");
    Ok(())
}
