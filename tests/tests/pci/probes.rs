// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes that are switched off while an agent works. A kernel that does not let them be keeps its promise.

use crate::{is_released, on_distribution, open, refusal, released};
use anyhow::ensure;
use papr_unplug_tests::{deadline::Deadline, device::pci::Function, vmm::promise::CLASSES};
use papr_unplug_wire::wire::reason::Reason;
use serde_json::{Value, json};

/// Number of requests meanwhile. A device can have 64 that are open.
const REQUESTS: u32 = 50;

/// PUE-G-011, PUE-G-012: an agent that waits for events is not seen to read before it has been woken.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_after_probes_were_off_is_refused_with_the_status_of_an_agent_that_waited_meanwhile() {
    let (unseen, seen) = (Function::new(1), Function::new(2));
    on_distribution(&[&unseen, &seen], |vm| {
        vm.start_agent()?;
        let are_off = vm.switch_probes_off()?;
        let request = vm.request_untraced(&unseen)?;
        if are_off {
            vm.await_armed(&[])?;
        }
        is_released(&vm.watch_untraced(&request)?);
        vm.await_reader("rtas_errd")?;
        vm.switch_probes_on()?;
        vm.await_armed(&CLASSES)?;
        assert_ne!(vm.has_waited_for_all_probes()?, Some(false));

        vm.replace_drmgr("exit 77")?;
        vm.trigger_pci(&seen, &refusal(seen.connector(), Reason::AGENT_FAILED, 77, "drmgr exits with 77"))?;
        vm.restore_drmgr()?;
        released(vm, &seen)
    });
}

/// PUE-G-012: no hot plug interrupt shows that probes are off before the request has ended.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_that_is_read_while_probes_are_off_is_no_longer_promised_when_its_drmgr_has_failed() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let _unseen = vm.request_untraced(&card)?;
        assert_eq!(vm.pending()?[0]["promised"], json!(true));
        if vm.switch_probes_off()? {
            vm.replace_drmgr("exit 77")?;
            vm.signal("CONT", "rtas_errd")?;
            vm.await_armed(&[])?;
            assert_eq!(vm.pending()?[0]["promised"], json!(false));
            vm.await_reader("rtas_errd")?;
            vm.switch_probes_on()?;
            vm.await_armed(&CLASSES)?;
            vm.restore_drmgr()?;
        } else {
            vm.kill_agent()?;
            vm.start_agent()?;
        }
        // The release ends every request for the card.
        let request = vm.request_untraced(&card)?;
        is_released(&vm.watch_untraced(&request)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

/// PUE-G-012: probes are switched one after the other, so that an event can go by unseen while the canary's still fires, or
/// fires again.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn requests_that_come_while_probes_are_being_switched_are_answered_or_not_promised() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.begin_switching_probes()?;
        let first = vm.request_untraced(&card)?;
        for _ in 1..REQUESTS {
            let request = vm.request_untraced(&card)?;
            let deadline = Deadline::start();
            while vm.events_about(&request)?.is_empty() && is_any_promised(&vm.pending()?) {
                ensure!(!deadline.left().is_zero(), "promised, and not answered: {}", vm.pending()?);
            }
        }
        vm.end_switching_probes()?;
        vm.await_armed(&CLASSES)?;
        vm.start_agent()?;
        // The agent may find an event that nobody has answered, so that the card is gone already. Its release ends every
        // request for it.
        let _is_there = vm.try_request(&card)?.is_ok();
        vm.await_deletion(&first)?;
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

/// Returns whether a request is promised to be answered.
fn is_any_promised(pending: &Value) -> bool {
    pending.as_array().into_iter().flatten().any(|request| request["promised"] == true)
}
