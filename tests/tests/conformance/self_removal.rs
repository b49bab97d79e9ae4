// SPDX-License-Identifier: MIT OR Apache-2.0

//! CPUs that are deleted by their own call of set-indicator, or by that of another CPU in the same thread of QEMU.

use papr_unplug_tests::{
    pairing::Pairing,
    removal::Outcome,
    story::story_on,
    vm::Vm,
    vmm::{
        machine::{Firmware, Machine},
        qemu::{Start, Threads},
    },
};
use papr_unplug_wire::wire::{drc::DrcIndex, rtas::Indicator};
use serde_json::json;

/// PUE-V-090, PUE-V-092: the removal was refused before, and is still wanted.
#[test]
fn core_that_gives_itself_back_after_a_refusal_is_deleted() {
    story_on(Pairing::OURS, Machine::Pseries, &start(Threads::Multi), |vm| {
        gives_itself_back(vm)?;
        // The kernel does not know that it has lost a CPU.
        vm.reset()
    });
}

/// PUE-V-090, PUE-V-092
#[test]
fn core_that_gives_itself_back_after_a_refusal_is_deleted_where_all_cpus_share_a_thread() {
    story_on(Pairing::OURS, Machine::Pseries, &start(Threads::Single), |vm| {
        gives_itself_back(vm)?;
        // The kernel does not know that it has lost a CPU.
        vm.reset()
    });
}

/// PUE-V-090, PUE-V-092: there, the CPU that calls set-indicator runs in the thread of the core that it gives back.
#[test]
fn core_is_released_where_all_cpus_share_a_thread() {
    let start = Start::with_threads(Threads::Single);
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        let cpu = vm.plug_cpu(1)?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// Returns options with these threads, and with the firmware that a reset needs.
fn start(threads: Threads) -> Start {
    Start { firmware: Firmware::Slof, ..Start::with_threads(threads) }
}

/// Requests a core that is the last one, and makes the core give itself back afterwards.
fn gives_itself_back(vm: &mut Vm) -> anyhow::Result<()> {
    let cpu = vm.plug_cpu(1)?;
    vm.put_boot_cpu_offline()?;
    assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Refused);
    vm.put_boot_cpu_online()?;
    let before = vm.qmp.moment();
    give_back(vm, cpu.connector())?;
    vm.qmp.wait_for(before, "the deletion of the core", |event| event.name() == "DEVICE_DELETED")?;
    assert_eq!(vm.pending()?, json!([]));
    Ok(())
}

/// Makes CPU 1 isolate a connector and make it unusable.
fn give_back(vm: &mut Vm, drc: DrcIndex) -> anyhow::Result<()> {
    vm.begin_set_indicator(1, &[(Indicator::ISOLATION_STATE, drc, 0), (Indicator::ALLOCATION_STATE, drc, 0)])
}
