// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module in the patched QEMU: each refusal is one event, with its reason.

use super::{busy_dimm, card_without_agent, last_cpu};
use papr_unplug_tests::pairing::Side;

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn busy_dimm_is_told_once_with_its_reason_and_goes_when_it_is_asked_for_again() -> anyhow::Result<()> {
    let events = busy_dimm(Side::Ours, "libvirt.ours.dimm")?;
    assert_eq!(events.libvirt, ["device-removal-failed", "device-removed"]);
    assert_eq!(events.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(events.reason, Some("memory-veto".into()));
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn last_cpu_is_told_once_with_its_reason_and_goes_when_it_is_not_the_last() -> anyhow::Result<()> {
    let events = last_cpu(Side::Ours, "libvirt.ours.cpu")?;
    assert_eq!(events.libvirt, ["device-removal-failed"]);
    assert_eq!(events.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(events.reason, Some("last-cpu".into()));
    Ok(())
}

#[test]
#[ignore = "needs libvirt, a QEMU that speaks the protocol, and a distribution's programs: cargo xtask libvirt"]
fn card_is_told_once_with_its_reason_and_goes_when_there_is_an_agent() -> anyhow::Result<()> {
    let events = card_without_agent(Side::Ours, "libvirt.ours.card")?;
    assert_eq!(events.libvirt, ["device-removal-failed", "device-removed"]);
    assert_eq!(events.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(events.reason, Some("no-agent".into()));
    Ok(())
}
