// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests that migrate while a request is in the kernel's log, is worked on, or has been answered.

use crate::{is_released, open, promised_and_started, released, reported, with};
use anyhow::Result;
use papr_unplug_tests::{
    artifacts::Artifacts,
    device::pci::Function,
    pairing::{Pairing, Side},
    vm::Vm,
};
use serde_json::{Value, json};

/// Boots a guest with network cards that can migrate.
fn migratable(cards: &[&Function], name: &str) -> Result<Vm> {
    Vm::migratable_as(&Artifacts::find()?, Pairing::OURS, with(cards), &format!("pci.migration.{name}.source"))
}

/// Migrates the guest to a VMM of the same build.
fn migrated(vm: Vm, name: &str) -> Result<Vm> {
    vm.migrate(&Artifacts::find()?, Side::Ours, &format!("pci.migration.{name}.destination"))
}

/// PUE-V-080, PUE-V-081
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_in_the_log_of_a_guest_that_migrates_is_refused_by_its_token() -> Result<()> {
    let card = Function::new(1);
    let mut vm = migratable(&[&card], "logged")?;
    vm.start_agent()?;
    vm.signal("STOP", "rtas_errd")?;
    let request = vm.request_untraced(&card)?;
    assert_eq!(promised_and_started(&mut vm)?, [json!(true), json!(false)]);
    assert_eq!(vm.events_about(&request)?.len(), 0);

    let mut vm = migrated(vm, "logged")?;
    assert_eq!(promised_and_started(&mut vm)?, [json!(true), json!(false)]);
    let request = vm.request_of_another_vmm(&card);
    vm.kill_agent()?;
    assert_eq!(reported(&vm.watch_untraced(&request)?), (1, "no-agent".into(), 0));
    vm.start_agent()?;
    released(&mut vm, &card)?;
    vm.inspect()
}

/// PUE-V-080, PUE-V-081
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_that_drmgr_works_on_in_a_guest_that_migrates_is_released() -> Result<()> {
    let card = Function::new(1);
    let mut vm = migratable(&[&card], "worked-on")?;
    vm.start_agent()?;
    let request = vm.request_untraced(&card)?;
    vm.stop_drmgr_at_work()?;
    assert_eq!(promised_and_started(&mut vm)?, [json!(true), json!(true)]);
    assert_eq!(vm.events_about(&request)?.len(), 0);

    let mut vm = migrated(vm, "worked-on")?;
    assert_eq!(promised_and_started(&mut vm)?, [json!(true), json!(true)]);
    let request = vm.request_of_another_vmm(&card);
    vm.signal("CONT", "drmgr")?;
    is_released(&vm.watch_untraced(&request)?);
    assert_eq!(open(&mut vm)?, <[Value; 0]>::default());
    vm.inspect()
}

/// The event of a request that was refused is still in the kernel's log when an agent starts in the other VMM.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn device_that_was_refused_before_a_migration_stays_when_an_agent_reads_the_old_event() -> Result<()> {
    let (refused, other) = (Function::new(1), Function::new(2));
    let mut vm = migratable(&[&refused, &other], "answered")?;
    assert_eq!(reported(&vm.remove_pci(&refused)?), (1, "no-agent".into(), 0));

    let mut vm = migrated(vm, "answered")?;
    let old = vm.request_of_another_vmm(&refused);
    vm.start_agent()?;
    released(&mut vm, &other)?;
    assert!(vm.has_function(&refused)? && vm.has_device(&refused)?);
    assert_eq!((vm.events_about(&old)?.len(), vm.counters()?.get("voided")), (0, 1));
    released(&mut vm, &refused)?;
    vm.inspect()
}
