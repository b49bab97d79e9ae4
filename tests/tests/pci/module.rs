// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest module that comes and goes while an agent waits for events.

use crate::{open, promised_and_started, released};
use papr_unplug_tests::{
    device::pci::Function,
    pairing::Pairing,
    removal::Outcome,
    story::story_on,
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn module_loaded_unloaded_and_loaded_below_a_waiting_agent_leaves_each_request_an_outcome() {
    let cards = [1, 2, 3].map(Function::new);
    let options = cards.iter().flat_map(|card| ["-device".to_owned(), card.option()]);
    story_on(Pairing::STOCK_ON_OURS, Machine::Pseries, &Start::with_distribution(options), |vm| {
        vm.start_agent()?;
        vm.load_module()?;
        let request = vm.request_untraced(&cards[0])?;
        assert_eq!(promised_and_started(vm)?[0], json!(true));
        assert_eq!(vm.watch_untraced(&request)?.outcome, Outcome::Released);
        vm.await_reader("rtas_errd")?;
        vm.unload_module()?;
        released(vm, &cards[1])?;
        vm.await_reader("rtas_errd")?;
        vm.load_module()?;
        released(vm, &cards[2])?;
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
