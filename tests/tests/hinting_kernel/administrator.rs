// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removals that the guest's administrator requests: nothing is signalled about them (PUE-G-051).

use papr_unplug_tests::{
    device::dimm::{ONE_LMB, TWO_LMBS},
    observe::trace::Asker,
    pairing::Pairing,
    removal::Outcome,
    story::story,
    vm::Vm,
};

/// PUE-G-051: stock Linux signals it, and QEMU takes that for the answer to a request.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn failed_removal_of_the_last_cpu_sends_nothing() {
    story(Pairing::STOCK, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        fails_and_unisolates_nothing(vm, &format!("cpu remove index {}", cpu.connector()))
    });
}

/// PUE-G-051
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn failed_removal_of_memory_sends_nothing_however_it_is_named() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let lmb = dimm.connector(0);
        for name in [format!("index {lmb}"), format!("indexed-count 2 {lmb}"), "count 2".to_owned()] {
            fails_and_unisolates_nothing(vm, &format!("memory remove {name}"))?;
        }
        Ok(())
    });
}

/// Stock firmware takes an LMB back only while its removal is asked for. Stock Linux ignores that, and then neither side
/// has the memory.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn lmb_that_firmware_does_not_take_back_stays_in_use() {
    story(Pairing::STOCK, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let write = vm.write_dlpar(&format!("memory remove index {}", dimm.connector(0)))?;
        assert!(write.attempt.errno < 0, "firmware has taken the LMB");
        let state = format!("cat /sys/devices/system/memory/memory{}/state", dimm.first_block());
        assert_eq!(vm.guest.sh(&state)?, "online\n");
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

fn fails_and_unisolates_nothing(vm: &mut Vm, request: &str) -> anyhow::Result<()> {
    let write = vm.write_dlpar(request)?;
    assert_eq!(write.attempt.asker, Asker::Administrator);
    assert!(write.attempt.errno < 0, "{request} succeeded");
    assert_eq!(write.unisolated(), []);
    Ok(())
}
