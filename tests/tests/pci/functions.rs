// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several functions: at once, and in one slot. The request for a function other than 0 is withheld until function 0
//! is asked for.

use crate::{on_distribution, open};
use papr_unplug_tests::device::{Device as _, pci::Function};
use serde_json::Value;

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
