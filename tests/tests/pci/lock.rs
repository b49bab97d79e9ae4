// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reconfigurations that the guest's administrator does at the same time: `drmgr` fails at once while another one runs.

use crate::{deleted, on_distribution, refusal, released, reported};
use papr_unplug_tests::device::pci::Function;
use papr_unplug_wire::wire::reason::Reason;
use serde_json::json;

/// The error that `drmgr` meets at a lock that another one has.
const EAGAIN: i64 = 11;

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_while_the_lock_is_held_is_refused_as_busy() {
    let (card, other) = (Function::new(1), Function::new(2));
    on_distribution(&[&card, &other], |vm| {
        vm.start_agent()?;
        let lock = vm.hold_lock(&other)?;
        vm.trigger_pci(&card, &refusal(card.connector(), Reason::BUSY, EAGAIN, "another drmgr has the lock"))?;
        vm.release_lock(lock)?;
        released(vm, &card)?;
        assert!(vm.has_function(&other)?);
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_while_the_administrator_removes_another_device_is_refused_as_busy() {
    let (card, other) = (Function::new(1), Function::new(2));
    on_distribution(&[&card, &other], |vm| {
        vm.start_agent()?;
        let own = format!("/usr/sbin/drmgr -c pci -r -s {:#x} -n -V", other.connector().0);
        vm.guest.sh(&format!("{{ {own} > /tmp/own 2>&1 & }}"))?;
        vm.await_drmgr()?;
        let (request, reason, _) = reported(&vm.remove_pci(&card)?);
        assert_eq!((request, reason.as_str()), (1, "busy"));
        vm.guest.sh("while pidof drmgr >/dev/null; do :; done")?;
        assert!(!vm.has_function(&other)?);
        released(vm, &card)
    });
}

/// The device goes although the request for it was refused, as the administrator wants it (late completion).
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_while_the_administrator_removes_the_same_device_is_refused_and_the_device_goes() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        let own = format!("/usr/sbin/drmgr -c pci -r -s {:#x} -n -V", card.connector().0);
        vm.guest.sh(&format!("{{ {own} > /tmp/own 2>&1 & }}"))?;
        vm.await_drmgr()?;
        let request = vm.request_untraced(&card)?;
        let (number, reason, _) = reported(&vm.watch_untraced(&request)?);
        assert_eq!((number, reason.as_str()), (1, "busy"));
        vm.guest.sh("while pidof drmgr >/dev/null; do :; done")?;
        vm.await_deletion(&request)?;
        let events = vm.events_about(&request)?;
        let last = events.last().map(|event| [json!(event.body.name()), json!(event.body.device())]);
        assert_eq!((events.len(), last), (2, Some(deleted("nic1.0"))));
        Ok(())
    });
}
