// SPDX-License-Identifier: MIT OR Apache-2.0

//! Refusals as users of libvirt see them. `cargo xtask libvirt` runs these tests.

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

/// Events of libvirt that not every version has: 11.3 has none for a CPU that is gone, and only the patched one has one with
/// the reason.
const OF_SOME_VERSIONS: [&str; 2] = ["vcpu-removed", "device-removal-failed-reason"];

/// Events about a device that was refused, and released when it was requested again.
struct ReportedEvents {
    /// Names of libvirt's events, but for [`OF_SOME_VERSIONS`].
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
    ReportedEvents::of(&mut domain, dimm)
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
    ReportedEvents::of(&mut domain, cpu)
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
    ReportedEvents::of(&mut domain, card)
}

impl ReportedEvents {
    fn of(domain: &mut Domain, device: &str) -> Result<Self> {
        domain.read_events()?;
        println!("{}", domain.transcript()?);
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let mut libvirt = names(&domain.events.about(device));
        libvirt.retain(|name| !OF_SOME_VERSIONS.contains(name));
        let qemu = domain.monitor.about(device);
        Ok(Self {
            libvirt: owned(libvirt),
            reason: qemu.first().and_then(|event| event.member("reason")),
            qemu: owned(names(&qemu)),
        })
    }
}
