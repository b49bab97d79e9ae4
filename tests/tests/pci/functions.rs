// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several functions: at once, and in one slot. The request for a function other than 0 is withheld until function 0
//! is asked for.

use crate::{on_distribution, open};
use papr_unplug_tests::{
    device::{Device as _, pci::Function},
    removal::Outcome,
};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn four_requests_at_once_are_released_in_their_order() {
    let cards = [1, 2, 3, 4].map(Function::new);
    on_distribution(&cards.each_ref(), |vm| {
        vm.start_agent()?;
        let first = vm.qmp.moment();
        for card in &cards {
            let _request = vm.request_untraced(card)?;
        }
        let last = cards[3].id();
        vm.qmp.wait_for(first, "the last release", |event| {
            event.name() == "DEVICE_DELETED" && event.device() == Some(last)
        })?;
        let told = vm.qmp.since(first).iter().filter_map(|event| Some((event.body.name(), event.body.device()?)));
        let expected = cards.each_ref().map(|card| ("DEVICE_DELETED", card.id()));
        assert_eq!(told.collect::<Vec<_>>(), expected);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn functions_of_one_slot_are_released_when_function_0_is_asked_for() {
    let functions = [Function::of_several(1, 0), Function::of_several(1, 1)];
    on_distribution(&functions.each_ref(), |vm| {
        vm.start_agent()?;
        let second = vm.request_untraced(&functions[1])?;
        let mut pending = vm.pending()?;
        assert_eq!(["promised", "withheld"].map(|name| pending[0][name].take()), [json!(false), json!(true)]);
        let first = vm.request_untraced(&functions[0])?;
        for request in [&second, &first] {
            let removal = vm.watch_untraced(request)?;
            assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
            assert_eq!(removal.events.len(), 1, "{:?}", removal.events);
        }
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn functions_of_one_slot_are_each_refused_without_an_agent() {
    let functions = [Function::of_several(1, 0), Function::of_several(1, 1)];
    on_distribution(&functions.each_ref(), |vm| {
        let second = vm.request_untraced(&functions[1])?;
        let first = vm.request_untraced(&functions[0])?;
        for (request, number) in [(&second, 1), (&first, 2)] {
            let removal = vm.watch_untraced(request)?;
            assert_eq!(crate::reported(&removal), (number, "no-agent".into(), 0));
        }
        vm.start_agent()?;
        let second = vm.request_untraced(&functions[1])?;
        let first = vm.request_untraced(&functions[0])?;
        for request in [&second, &first] {
            assert_eq!(vm.watch_untraced(request)?.outcome, Outcome::Released);
        }
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
