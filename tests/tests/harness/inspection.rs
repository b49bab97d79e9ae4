// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inspection and outcomes of the harness: each kind of failure is seen.

use papr_unplug_tests::{artifacts::Artifacts, device::dimm::ONE_LMB, pairing::Pairing, removal::Outcome, vm::Vm};

#[test]
fn warning_in_the_kernel_log_fails_the_inspection() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "harness.warning")?.up()?;
    vm.inspect()?;
    vm.guest.sh("echo 'WARNING: CPU: 0 PID: 1 at a place of our choice' > /dev/kmsg")?;
    let error = vm.inspect().unwrap_err().to_string();
    assert!(error.contains("at a place of our choice"), "{error}");
    Ok(())
}

#[test]
fn taint_of_the_kernel_fails_the_inspection() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "harness.taint")?.up()?;
    vm.inspect()?;
    // Bit 6: user space has set the flag.
    vm.guest.sh("echo 64 > /proc/sys/kernel/tainted")?;
    let error = vm.inspect().unwrap_err().to_string();
    assert!(error.contains("the guest's kernel is tainted"), "{error}");
    Ok(())
}

#[test]
fn vmm_that_dies_during_a_removal_is_an_outcome() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "harness.vmm-dies")?.up()?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    let _pages = vm.hold_pages()?;
    let request = vm.request(&dimm)??;
    vm.await_held_removal()?;
    vm.qmp.execute("quit", serde_json::json!({}))?;
    assert_eq!(vm.watch(request)?.outcome, Outcome::VmmAborted);
    assert!(vm.has_ended());
    Ok(())
}

#[test]
fn guest_that_crashes_during_a_removal_is_no_vmm_that_dies() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "harness.guest-crashes")?.up()?;
    let dimm = vm.plug_dimm(ONE_LMB)?;
    let _pages = vm.hold_pages()?;
    let request = vm.request(&dimm)??;
    vm.await_held_removal()?;
    // A system reset interrupt without a handler.
    vm.qmp.execute("inject-nmi", serde_json::json!({}))?;
    let error = vm.watch(request).unwrap_err();
    assert!(Vm::is_end_of_vmm(&error) && vm.crashed()?, "{error:#}");
    Ok(())
}

#[test]
fn guest_that_resets_ends_the_wait_for_it() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "harness.reset")?.up()?;
    let error = vm.guest.run("reboot -f").unwrap_err();
    assert!(Vm::is_end_of_vmm(&error), "{error:#}");
    Ok(())
}
