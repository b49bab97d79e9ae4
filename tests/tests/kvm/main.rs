// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests under KVM: that it is KVM indeed, and that the harness sees what goes wrong in their host.
//! `cargo xtask test --accel kvm` runs these tests, and there those of other guests as well.

use anyhow::Context as _;
use papr_unplug_tests::{artifacts::Artifacts, pairing::Pairing, story::story, vm::Vm};
use serde_json::json;

#[test]
#[ignore = "needs a host of KVM guests: cargo xtask test --accel kvm"]
fn guest_runs_under_kvm() {
    story(Pairing::OURS, |vm| {
        assert_eq!(vm.qmp.execute("query-kvm", json!({}))?, json!({ "enabled": true, "present": true }));
        let hypervisor = vm.guest.sh("tr '\\000' '\\n' < /proc/device-tree/hypervisor/compatible")?;
        assert_eq!(hypervisor.trim(), "linux,kvm");
        let exits = |vm: &mut Vm| vm.qemu().kvm_host().context("no host")?.exits();
        let before = exits(vm)?;
        vm.guest.sh("cat /proc/uptime")?;
        assert!(exits(vm)? > before);
        Ok(())
    });
}

/// The control of all tests of our VMM: they would not pass without it.
#[test]
#[ignore = "needs a host of KVM guests: cargo xtask test --accel kvm"]
fn stock_vmm_in_the_place_of_ours_makes_no_promises() -> anyhow::Result<()> {
    let mut artifacts = Artifacts::find()?;
    let kvm = artifacts.kvm.as_mut().context("no host")?;
    kvm.qemu.clone_from(&kvm.qemu_stock);
    let mut vm = Vm::launch(&artifacts, Pairing::OURS, "kvm.control")?.up()?;
    assert!(vm.armed().is_err());
    vm.inspect()
}

#[test]
#[ignore = "needs a host of KVM guests: cargo xtask test --accel kvm"]
fn warning_in_the_log_of_the_host_fails_the_inspection() -> anyhow::Result<()> {
    let mut vm = Vm::launch(&Artifacts::find()?, Pairing::STOCK, "kvm.warning")?.up()?;
    vm.inspect()?;
    let line = "WARNING: CPU: 0 PID: 1 at a place of our choice";
    vm.qemu().kvm_host().context("no host")?.sh(&format!("echo '<4>{line}' > /dev/kmsg"))?;
    let error = vm.inspect().unwrap_err().to_string();
    assert!(error.contains("the host's kernel complains") && error.contains(line), "{error}");
    Ok(())
}
