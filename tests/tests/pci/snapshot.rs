// SPDX-License-Identifier: MIT OR Apache-2.0

//! Snapshots of a guest with a request that is in the kernel's log, is worked on, or has been answered. What the guest
//! did after the snapshot is undone, and the request has its outcome under another number (PUE-V-087).

use crate::{is_released, on_distribution, open, promised_and_started, released, reported};
use papr_unplug_tests::{device::pci::Function, vm::logs};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_that_was_refused_since_a_snapshot_with_its_event_in_the_log_is_released_after_the_load() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.signal("STOP", "rtas_errd")?;
        let request = vm.request_untraced(&card)?;
        vm.save_snapshot(&logs("pci.snapshot.logged.qcow2"))?;
        vm.kill_agent()?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "no-agent".into(), 0));

        let loaded = vm.qmp.moment();
        vm.load_snapshot()?;
        assert_eq!(promised_and_started(vm)?, [json!(true), json!(false)]);
        vm.signal("CONT", "rtas_errd")?;
        let request = vm.request_since(&card, loaded);
        is_released(&vm.watch_untraced(&request)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_that_was_refused_since_a_snapshot_with_drmgr_at_work_is_released_after_the_load() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        let request = vm.request_untraced(&card)?;
        vm.stop_drmgr_at_work()?;
        vm.save_snapshot(&logs("pci.snapshot.worked-on.qcow2"))?;
        vm.kill_agent()?;
        vm.signal("KILL", "drmgr")?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "agent-failed".into(), 128 + 9));

        let loaded = vm.qmp.moment();
        vm.load_snapshot()?;
        assert_eq!(promised_and_started(vm)?, [json!(true), json!(true)]);
        vm.signal("CONT", "drmgr")?;
        let request = vm.request_since(&card, loaded);
        is_released(&vm.watch_untraced(&request)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

/// The old event is made void each time that an agent reads it.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn device_that_was_refused_before_a_snapshot_stays_when_an_agent_reads_the_old_event_after_the_load() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        let request = vm.request_untraced(&card)?;
        assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "no-agent".into(), 0));
        vm.save_snapshot(&logs("pci.snapshot.answered.qcow2"))?;
        vm.start_agent()?;
        vm.await_counter("voided", 1)?;

        vm.load_snapshot()?;
        assert_eq!(vm.counters()?.get("voided"), 0);
        vm.start_agent()?;
        vm.await_counter("voided", 1)?;
        vm.await_reader("rtas_errd")?;
        assert!(vm.has_function(&card)? && vm.has_device(&card)?);
        assert_eq!(vm.events_about(&request)?.len(), 1);
        released(vm, &card)
    });
}
