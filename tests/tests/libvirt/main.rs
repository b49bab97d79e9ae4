// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a user of libvirt sees when a guest refuses. `cargo xtask libvirt` runs these.
//!
//! That there was no further event is known when the device is gone: what was said before that about it is all there
//! is.

mod ours;
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

/// What was told of a device that was refused, and of the same device when it was asked for again.
struct Told {
    /// The names of libvirt's events.
    libvirt: Vec<String>,
    /// The names of QEMU's events.
    qemu: Vec<String>,
    /// The reason in the first of these.
    reason: Option<Value>,
}

/// Asks for a DIMM that is busy, and again when it is not.
fn busy_dimm(vmm: Side, name: &str) -> Result<Told> {
    let mut domain = Domain::start(&Artifacts::find()?, vmm, name)?;
    let dimm = domain.plug_dimm()?;
    domain.guest.veto_offlining()?;
    assert!(matches!(domain.detach(dimm)?, Virsh::Done(_)));
    domain.events.wait_for("device-removal-failed", dimm)?;

    domain.guest.allow_offlining()?;
    assert!(matches!(domain.detach(dimm)?, Virsh::Done(_)));
    domain.events.wait_for("device-removed", dimm)?;
    domain.monitor.wait_for("DEVICE_DELETED", dimm)?;
    Told::of(&domain, dimm)
}

/// Takes the last CPU that is online away, and again when it is not the last.
fn last_cpu(vmm: Side, name: &str) -> Result<Told> {
    let mut domain = Domain::start(&Artifacts::find()?, vmm, name)?;
    let cpu = domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let refused = domain.set_cpus(1)?;
    assert!(refused.has_failed_with("rejected by the guest"), "{refused:?}");
    domain.events.wait_for("device-removal-failed", cpu)?;

    domain.guest.sh("echo 1 > /sys/devices/system/cpu/cpu0/online")?;
    assert!(matches!(domain.set_cpus(1)?, Virsh::Done(_)));
    domain.events.wait_for("vcpu-removed", cpu)?;
    domain.monitor.wait_for("DEVICE_DELETED", cpu)?;
    Told::of(&domain, cpu)
}

impl Told {
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
