// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several functions: at once, and in one slot. The request for a function other than 0 is withheld until function 0
//! is asked for.

use crate::{is_released, on_distribution, open, own_agent};
use papr_unplug_tests::{
    device::{Device as _, pci::Function},
    pairing::Pairing,
    removal::Outcome,
    story::story_on,
    vmm::{machine::Machine, qemu::Start},
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

/// The agent keeps the disk that is mounted, and gives the card back: the slot keeps its function 1.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn mounted_function_1_of_a_slot_stays_when_function_0_is_asked_for() {
    let (card, disk) = (Function::of_several(1, 0), Function::of_several(1, 1));
    let options = disk.options_of_disk().into_iter().chain(["-device".to_owned(), card.option()]);
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_distribution(options), |vm| {
        vm.mount_disk()?;
        own_agent::start(vm)?;
        let second = vm.request_untraced(&disk)?;
        let first = vm.request_untraced(&card)?;
        assert_eq!(crate::reported(&vm.watch_untraced(&second)?), (1, "in-use".into(), 16));
        is_released(&vm.watch_untraced(&first)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        assert!(vm.has_function(&disk)? && vm.has_device(&disk)?);
        assert!(vm.has_data()?);
        // It can be asked for, and the event waits for a request for function 0.
        vm.guest.sh("umount /mnt")?;
        let _request = vm.request_untraced(&disk)?;
        assert_eq!(vm.pending()?[0]["withheld"], json!(true));
        Ok(())
    });
}
