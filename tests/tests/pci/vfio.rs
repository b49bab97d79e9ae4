// SPDX-License-Identifier: MIT OR Apache-2.0

//! Functions that a program of the guest has open through VFIO.

use crate::{is_released, on_distribution, open, own_agent, promised_and_started, released, reported};
use papr_unplug_tests::device::pci::Function;
use serde_json::{Value, json};

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn function_that_is_open_through_vfio_is_refused_as_in_use() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.hold_by_vfio(&card)?;
        own_agent::start(vm)?;
        for request in [1, 2] {
            assert_eq!(reported(&vm.remove_pci(&card)?), (request, "in-use".into(), 16));
        }
        assert!(vm.guest.sh("cat /tmp/agent.log")?.contains("has it open through VFIO"));
        vm.let_go_of_vfio()?;
        released(vm, &card)
    });
}

/// The kernel has `drmgr` wait for the program. No time ends that, and the host can see that the guest works on it.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_drmgr_waits_for_vfio_is_open_and_released_when_the_program_lets_go() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.hold_by_vfio(&card)?;
        vm.start_agent()?;
        let request = vm.request_untraced(&card)?;
        vm.await_drmgr_behind_vfio()?;
        assert_eq!(promised_and_started(vm)?, [json!(true), json!(true)]);
        assert_eq!(vm.events_about(&request)?.len(), 0);
        vm.let_go_of_vfio()?;
        is_released(&vm.watch_untraced(&request)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
