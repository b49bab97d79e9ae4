// SPDX-License-Identifier: MIT OR Apache-2.0

//! Functions behind a bridge. The bridge itself cannot be asked for.

use crate::{is_released, open, reported};
use papr_unplug_tests::{
    device::{Device as _, pci::Function},
    pairing::Pairing,
    story::story_on,
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::Value;

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn function_behind_a_bridge_is_refused_without_an_agent_and_released_with_one() {
    let bridge = Function::new(5);
    let card = Function::new(1);
    let behind = card.option_on("virtio-net-pci,romfile=", bridge.id());
    let options = ["-device", &bridge.option_of("pci-bridge,chassis_nr=5"), "-device", &behind];
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_distribution(options), |vm| {
        assert!(vm.try_request(&bridge)?.is_err());
        for request in [1, 2] {
            assert_eq!(reported(&vm.remove_pci(&card)?), (request, "no-agent".into(), 0));
        }
        vm.start_agent()?;
        is_released(&vm.remove_pci(&card)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
