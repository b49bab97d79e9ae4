// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module in stock QEMU: each refusal is one event, or two for a DIMM, without a reason.

use super::{busy_dimm, last_cpu};
use papr_unplug_tests::pairing::Side;

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn busy_dimm_is_told_twice_and_goes_when_it_is_asked_for_again() -> anyhow::Result<()> {
    let events = busy_dimm(Side::Stock, "libvirt.stock.dimm")?;
    assert_eq!(events.libvirt, ["device-removal-failed", "device-removal-failed", "device-removed"]);
    assert_eq!(events.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(events.reason, None);
    Ok(())
}

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn last_cpu_is_told_once_and_goes_when_it_is_not_the_last() -> anyhow::Result<()> {
    let events = last_cpu(Side::Stock, "libvirt.stock.cpu")?;
    assert_eq!(events.libvirt, ["device-removal-failed", "vcpu-removed"]);
    assert_eq!(events.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(events.reason, None);
    Ok(())
}
