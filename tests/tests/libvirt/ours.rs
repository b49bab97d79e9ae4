// SPDX-License-Identifier: MIT OR Apache-2.0

//! Our guest in a QEMU that speaks the protocol: the refusal is told once, with its reason.

use super::{busy_dimm, last_cpu};
use papr_unplug_tests::pairing::Side;

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn busy_dimm_is_told_once_with_its_reason_and_goes_when_it_is_asked_for_again() -> anyhow::Result<()> {
    let told = busy_dimm(Side::Ours, "libvirt.ours.dimm")?;
    assert_eq!(told.libvirt, ["device-removal-failed", "device-removed"]);
    assert_eq!(told.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(told.reason, Some("memory-veto".into()));
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn last_cpu_is_told_once_with_its_reason_and_goes_when_it_is_not_the_last() -> anyhow::Result<()> {
    let told = last_cpu(Side::Ours, "libvirt.ours.cpu")?;
    assert_eq!(told.libvirt, ["device-removal-failed", "vcpu-removed"]);
    assert_eq!(told.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(told.reason, Some("last-cpu".into()));
    Ok(())
}
