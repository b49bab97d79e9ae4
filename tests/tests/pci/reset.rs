// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests that are reset or reboot while a request is in the kernel's log, is worked on, or has been answered.

use crate::{open, promised_and_started, released, reported, with};
use anyhow::Result;
use papr_unplug_tests::{
    device::pci::Function,
    pairing::Pairing,
    removal::Request,
    story::story_on,
    vm::Vm,
    vmm::{
        machine::{Firmware, Machine},
        promise::CLASSES,
        qemu::Start,
    },
};
use serde_json::{Value, json};

/// Tells a story about a guest that SLOF starts, which VOF does not after a reset.
fn with_slof<F>(cards: &[&Function], tell: F)
where
    F: FnOnce(&mut Vm) -> Result<()>,
{
    let start = Start { firmware: Firmware::Slof, ..with(cards) };
    story_on(Pairing::OURS, Machine::Pseries, &start, tell);
}

/// Returns the name and the cause of each event about a request.
fn told(vm: &mut Vm, request: &Request) -> Result<Vec<[Value; 2]>> {
    let events = vm.events_about(request)?;
    let members = |event: &papr_unplug_tests::vmm::qmp::Event| {
        [json!(event.body.name()), event.body.data("cause").cloned().unwrap_or_default()]
    };
    Ok(events.iter().map(members).collect())
}

fn deleted_by_reset() -> [[Value; 2]; 1] {
    [[json!("DEVICE_DELETED"), json!("reset")]]
}

/// PUE-V-070: a withheld request is closed as the others are.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_in_the_log_and_withheld_one_are_closed_by_a_reset() {
    let (card, first, second) = (Function::new(1), Function::of_several(2, 0), Function::of_several(2, 1));
    with_slof(&[&card, &first, &second], |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let requests = [vm.request_untraced(&card)?, vm.request_untraced(&second)?];
        assert_eq!(open(vm)?.len(), 2);
        vm.reset()?;
        for request in &requests {
            assert_eq!(told(vm, request)?, deleted_by_reset());
        }
        assert_eq!((open(vm)?, vm.armed()?), (vec![], json!([])));
        assert!(!vm.has_function(&card)? && vm.has_function(&first)?);
        vm.load_module()?;
        vm.await_armed(&CLASSES)?;
        vm.start_agent()?;
        released(vm, &first)
    });
}

/// PUE-V-070
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_that_drmgr_works_on_is_closed_by_a_reset() {
    let card = Function::new(1);
    with_slof(&[&card], |vm| {
        vm.start_agent()?;
        let request = vm.request_untraced(&card)?;
        vm.stop_drmgr_at_work()?;
        assert_eq!(promised_and_started(vm)?, [json!(true), json!(true)]);
        vm.reset()?;
        assert_eq!(told(vm, &request)?, deleted_by_reset());
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

/// The log is empty after a reset, and nothing takes the device away.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn device_that_was_refused_stays_over_a_reset() {
    let card = Function::new(1);
    with_slof(&[&card], |vm| {
        let request = vm.request_untraced(&card)?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "no-agent".into(), 0));
        vm.reset()?;
        vm.load_module()?;
        vm.await_armed(&CLASSES)?;
        vm.start_agent()?;
        assert!(vm.has_function(&card)? && vm.has_device(&card)?);
        assert_eq!((vm.events_about(&request)?.len(), vm.counters()?.get("voided")), (1, 0));
        released(vm, &card)
    });
}

/// PUE-V-070, PUE-G-060: the guest takes its promise back, and does not answer for an agent that may yet do its work.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_in_the_log_of_a_guest_that_reboots_is_closed_by_the_reset() {
    let card = Function::new(1);
    with_slof(&[&card], |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let request = vm.request_untraced(&card)?;
        vm.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        let _gone = vm.guest.start("reboot -f")?;
        vm.await_boot()?;
        assert_eq!(told(vm, &request)?, deleted_by_reset());
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
