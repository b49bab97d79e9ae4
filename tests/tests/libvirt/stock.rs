// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module in stock QEMU: each refusal is one event, or two for a DIMM, without a reason. That of a PCI
//! device is none.

use super::{busy_dimm, last_cpu};
use papr_unplug_tests::{
    artifacts::Artifacts,
    libvirt::{daemon::Virsh, domain::Domain},
    pairing::Side,
};

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
    assert_eq!(events.libvirt, ["device-removal-failed"]);
    assert_eq!(events.qemu, ["DEVICE_UNPLUG_GUEST_ERROR", "DEVICE_DELETED"]);
    assert_eq!(events.reason, None);
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a distribution's programs: cargo xtask libvirt"]
fn card_is_refused_unheard_and_cannot_be_asked_for_again() -> anyhow::Result<()> {
    let mut domain = Domain::start_with_card(&Artifacts::find()?, Side::Stock, "libvirt.stock.card")?;
    assert!(matches!(domain.detach("net0")?, Virsh::Done(_)));
    domain.guest.sh("until grep -q '^refused 1$' /sys/kernel/debug/papr_unplug/counters; do :; done")?;
    domain.guest.start_agent()?;
    let again = domain.detach("net0")?;
    println!("{}", domain.transcript()?);
    assert!(again.has_failed_with("unplug already in progress"), "{again:?}");
    domain.end()?;
    assert_eq!(domain.events.about("net0").len(), 0);
    Ok(())
}
