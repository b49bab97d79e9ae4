// SPDX-License-Identifier: MIT OR Apache-2.0

//! Agents that are absent, die, or do not do what they are for.

use crate::{on_distribution, open, promised_and_started, refusal, released, reported};
use papr_unplug_tests::{device::pci::Function, guest::agent::LOG, removal::Outcome};
use papr_unplug_wire::wire::reason::Reason;
use serde_json::json;

/// PUE-G-052
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_without_an_agent_is_refused_at_once_and_released_once_there_is_one() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        for _ in 0..2 {
            let how = "no program reads the kernel's log of RTAS events";
            vm.trigger_pci(&card, &refusal(card.connector(), Reason::NO_AGENT, 0, how))?;
        }
        vm.start_agent()?;
        released(vm, &card)
    });
}

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
fn request_whose_drmgr_is_missing_is_refused_with_the_status_of_the_failed_start() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.hide_drmgr()?;
        assert_eq!(reported(&vm.remove_pci(&card)?), (1, "agent-failed".into(), 1));
        vm.restore_drmgr()?;
        released(vm, &card)
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_drmgr_fails_is_refused_with_its_status() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.replace_drmgr("exit 77")?;
        vm.trigger_pci(&card, &refusal(card.connector(), Reason::AGENT_FAILED, 77, "drmgr exits with 77"))?;
        vm.restore_drmgr()?;
        released(vm, &card)
    });
}

/// A `drmgr` that does nothing and says that all went well.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_drmgr_does_nothing_is_refused_as_incomplete() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.replace_drmgr("exit 0")?;
        let how = "drmgr does nothing and exits with 0";
        vm.trigger_pci(&card, &refusal(card.connector(), Reason::INCOMPLETE, 0, how))?;
        vm.restore_drmgr()?;
        released(vm, &card)
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

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_agent_and_drmgr_are_killed_is_refused_with_the_signal() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        let request = vm.request_untraced(&card)?;
        vm.await_drmgr()?;
        vm.kill_agent()?;
        vm.signal("KILL", "drmgr")?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "agent-failed".into(), 128 + 9));
        vm.start_agent()?;
        released(vm, &card)
    });
}

/// A reader that takes the event and ends without having begun anything.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_event_is_eaten_is_refused() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.guest.sh(&format!("{{ dd if={LOG} of=/dev/null bs=4096 count=1 2> /dev/null & }}"))?;
        vm.await_reader("dd")?;
        assert_eq!(reported(&vm.remove_pci(&card)?), (1, "agent-failed".into(), 0));
        vm.start_agent()?;
        released(vm, &card)
    });
}

/// `rtas_errd` throws an event away that it cannot write to its log, and goes on.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_agent_has_a_full_disk_is_refused() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.guest.sh("ln -s /dev/full /var/log/platform")?;
        vm.start_agent()?;
        assert_eq!(reported(&vm.remove_pci(&card)?), (1, "agent-failed".into(), 0));
        vm.kill_agent()?;
        vm.guest.sh("rm /var/log/platform")?;
        vm.start_agent()?;
        released(vm, &card)
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_agent_is_stopped_waits_and_is_released_when_it_goes_on() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let request = vm.request_untraced(&card)?;
        // The guest and the host answer once more, and the request is open.
        vm.guest.sh("true")?;
        assert_eq!(promised_and_started(vm)?, [json!(true), json!(false)]);
        assert_eq!(vm.events_about(&request)?.len(), 0);
        vm.signal("CONT", "rtas_errd")?;
        let removal = vm.watch_untraced(&request)?;
        assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
        assert_eq!(open(vm)?, [json!(null); 0]);
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_whose_agent_is_killed_before_it_reads_is_refused() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let request = vm.request_untraced(&card)?;
        vm.kill_agent()?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "no-agent".into(), 0));
        vm.start_agent()?;
        released(vm, &card)
    });
}

/// The event of a request that was refused is still in the kernel's log when an agent starts.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn device_that_was_refused_stays_when_an_agent_reads_the_old_event() {
    let (refused, other) = (Function::new(1), Function::new(2));
    on_distribution(&[&refused, &other], |vm| {
        let request = vm.request_untraced(&refused)?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "no-agent".into(), 0));
        vm.start_agent()?;
        // The agent handles events in their order: it has passed the old one.
        released(vm, &other)?;
        assert!(vm.has_function(&refused)? && vm.has_device(&refused)?);
        assert_eq!(vm.events_about(&request)?.len(), 1);
        released(vm, &refused)
    });
}
