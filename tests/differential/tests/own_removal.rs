// SPDX-License-Identifier: MIT OR Apache-2.0

//! CPUs that complete the removal of a core, with real vCPUs and each threading of TCG.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
    machine::Device::{self, Core},
    processors::{Hypercall, Processors},
    program::{Program, Threads},
    step::indicator,
};
use serde_json::json;

const CORE: u32 = Core.first();

/// The calls by which a core is given back.
const GIVE_BACK: [Hypercall; 2] =
    [Hypercall::Set(indicator::ISOLATION, CORE, 0), Hypercall::Set(indicator::ALLOCATION, CORE, 0)];

/// A machine whose CPUs are the boot core's (0) and core1's (1).
fn machine(threads: Threads) -> Result<Processors> {
    let program = [Device::Core2, Device::Pci, Device::Phb].into_iter().fold(Program::ours()?, Program::without);
    Processors::start(&program, threads)
}

/// Waits for the deletion of the core, and shows that the VMM lives: the core can be plugged again.
fn expect_deleted(mut machine: Processors) -> Result<()> {
    machine.wait_for("DEVICE_DELETED", Core)?;
    let cpus = machine.execute("query-cpus-fast", json!({}))?;
    ensure!(cpus.as_array().is_some_and(|cpus| cpus.len() == 1), "{cpus}");
    machine.execute("device_add", json!({ "driver": Core.driver().0, "id": Core.id(), "core-id": 1 }))?;
    Ok(())
}

/// PUE-V-090, PUE-V-092: a CPU gives the core back that it belongs to.
fn core_gives_itself_back(threads: Threads) -> Result<()> {
    let mut machine = machine(threads)?;
    machine.remove(Core)?;
    machine.prepare(0, 1, &[])?;
    machine.prepare(1, 1, &GIVE_BACK)?;
    machine.go(2)?;
    expect_deleted(machine)
}

/// PUE-V-061, PUE-V-090, PUE-V-092: the same after the request has ended as refused.
fn core_gives_itself_back_late(threads: Threads) -> Result<()> {
    let mut machine = machine(threads)?;
    machine.remove(Core)?;
    assert_eq!(machine.set_indicator(indicator::ISOLATION, CORE, 1)?, 0);
    machine.wait_for("DEVICE_UNPLUG_GUEST_ERROR", Core)?;
    machine.prepare(0, 1, &[])?;
    machine.prepare(1, 1, &GIVE_BACK)?;
    machine.go(2)?;
    expect_deleted(machine)
}

/// PUE-V-092: another CPU gives the core back.
fn core_is_given_back_by_the_boot_cpu(threads: Threads) -> Result<()> {
    let mut machine = machine(threads)?;
    machine.remove(Core)?;
    machine.prepare(0, 1, &GIVE_BACK)?;
    machine.prepare(1, 1, &[])?;
    machine.go(2)?;
    expect_deleted(machine)
}

/// PUE-V-070, PUE-V-090, PUE-V-092: a CPU of the core negotiates while its removal is open.
fn core_negotiates_while_it_is_wanted(threads: Threads) -> Result<()> {
    let mut machine = machine(threads)?;
    machine.remove(Core)?;
    // Negotiation is for the last CPU that runs; until then it is an error.
    machine.prepare(0, 1, &[Hypercall::Stop])?;
    machine.prepare(1, u32::MAX, &[Hypercall::Cas])?;
    machine.go(2)?;
    expect_deleted(machine)
}

#[test]
fn core_that_gives_itself_back_is_deleted_multi() -> Result<()> {
    core_gives_itself_back(Threads::Multi)
}

#[test]
fn core_that_gives_itself_back_is_deleted_single() -> Result<()> {
    core_gives_itself_back(Threads::Single)
}

#[test]
fn core_that_gives_itself_back_late_is_deleted_multi() -> Result<()> {
    core_gives_itself_back_late(Threads::Multi)
}

#[test]
fn core_that_gives_itself_back_late_is_deleted_single() -> Result<()> {
    core_gives_itself_back_late(Threads::Single)
}

#[test]
fn core_that_the_boot_cpu_gives_back_is_deleted_multi() -> Result<()> {
    core_is_given_back_by_the_boot_cpu(Threads::Multi)
}

#[test]
fn core_that_the_boot_cpu_gives_back_is_deleted_single() -> Result<()> {
    core_is_given_back_by_the_boot_cpu(Threads::Single)
}

#[test]
fn core_that_negotiates_is_deleted_by_a_reset_multi() -> Result<()> {
    core_negotiates_while_it_is_wanted(Threads::Multi)
}

#[test]
fn core_that_negotiates_is_deleted_by_a_reset_single() -> Result<()> {
    core_negotiates_while_it_is_wanted(Threads::Single)
}
