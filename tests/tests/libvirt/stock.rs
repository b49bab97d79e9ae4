// SPDX-License-Identifier: MIT OR Apache-2.0

//! Our guest in a stock QEMU: the refusal is told, without a reason, and for a DIMM twice.

use super::{busy_dimm, last_cpu};
use papr_unplug_tests::pairing::Side;

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn busy_dimm_is_told_twice_and_goes_when_it_is_asked_for_again() -> anyhow::Result<()> {
    let told = busy_dimm(Side::Stock, "libvirt.stock.dimm")?;
    assert_eq!(told.libvirt, ["device-removal-failed", "device-removal-failed", "device-removed"]);
    assert_eq!(told.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(told.reason, None);
    Ok(())
}

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn last_cpu_is_told_once_and_goes_when_it_is_not_the_last() -> anyhow::Result<()> {
    let told = last_cpu(Side::Stock, "libvirt.stock.cpu")?;
    assert_eq!(told.libvirt, ["device-removal-failed", "vcpu-removed"]);
    assert_eq!(told.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(told.reason, None);
    Ok(())
}
