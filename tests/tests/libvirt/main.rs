// SPDX-License-Identifier: MIT OR Apache-2.0

//! Refusals as users of libvirt see them. `cargo xtask libvirt` runs these tests.
//!
//! Events are complete once the device is deleted: all others about it come before that.

mod ours;
mod patched;
mod stock;

use anyhow::Result;
use papr_unplug_tests::{
    artifacts::Artifacts,
    libvirt::{
        daemon::Virsh,
        domain::{Domain, names},
    },
    pairing::Side,
};
use serde_json::Value;

/// Events about a device that was refused, and released when it was requested again.
struct ReportedEvents {
    /// Names of libvirt's events.
    libvirt: Vec<String>,
    /// Names of QEMU's events.
    qemu: Vec<String>,
    /// Reason in the first of QEMU's events.
    reason: Option<Value>,
}

/// Requests a busy DIMM, and again after it is free.
fn busy_dimm(vmm: Side, name: &str) -> Result<ReportedEvents> {
    let mut domain = Domain::start(&Artifacts::find()?, vmm, name)?;
    let dimm = domain.plug_dimm()?;
    domain.guest.veto_offlining()?;
    assert!(matches!(domain.detach(dimm)?, Virsh::Done(_)));
    domain.events.wait_for("device-removal-failed", dimm)?;

    domain.guest.allow_offlining()?;
    assert!(matches!(domain.detach(dimm)?, Virsh::Done(_)));
    domain.events.wait_for("device-removed", dimm)?;
    domain.monitor.wait_for("DEVICE_DELETED", dimm)?;
    ReportedEvents::of(&domain, dimm)
}

/// Requests the last CPU that is online, and again after another one is online.
fn last_cpu(vmm: Side, name: &str) -> Result<ReportedEvents> {
    let mut domain = Domain::start(&Artifacts::find()?, vmm, name)?;
    let cpu = domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let refused = domain.set_cpus(1)?;
    assert!(refused.has_failed_with("rejected by the guest"), "{refused:?}");
    domain.events.wait_for("device-removal-failed", cpu)?;

    domain.guest.sh("echo 1 > /sys/devices/system/cpu/cpu0/online")?;
    assert!(matches!(domain.set_cpus(1)?, Virsh::Done(_)));
    domain.monitor.wait_for("DEVICE_DELETED", cpu)?;
    let mut events = ReportedEvents::of(&domain, cpu)?;
    // A libvirt that is older than 12 has no such event.
    events.libvirt.retain(|name| name != "vcpu-removed");
    Ok(events)
}

/// Requests a network card that no program gives back, and again after there is one.
fn card_without_agent(vmm: Side, name: &str) -> Result<ReportedEvents> {
    let card = "net0";
    let mut domain = Domain::start_with_card(&Artifacts::find()?, vmm, name)?;
    assert!(matches!(domain.detach(card)?, Virsh::Done(_)));
    domain.events.wait_for("device-removal-failed", card)?;

    domain.guest.start_agent()?;
    assert!(matches!(domain.detach(card)?, Virsh::Done(_)));
    domain.events.wait_for("device-removed", card)?;
    domain.monitor.wait_for("DEVICE_DELETED", card)?;
    ReportedEvents::of(&domain, card)
}

impl ReportedEvents {
    fn of(domain: &Domain, device: &str) -> Result<Self> {
        println!("{}", domain.transcript()?);
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let qemu = domain.monitor.about(device);
        Ok(Self {
            libvirt: owned(names(&domain.events.about(device))),
            reason: qemu.first().and_then(|event| event.member("reason")),
            qemu: owned(names(&qemu)),
        })
    }
}
