// SPDX-License-Identifier: MIT OR Apache-2.0

//! libvirt with this project's patches: the reason is in the error and in an event, and no clock ends a wait for an
//! outcome that is promised.

use anyhow::Result;
use papr_unplug_tests::{
    artifacts::Artifacts,
    libvirt::{
        daemon::Virsh,
        domain::{DETACH_DIMM, Domain, names},
    },
    pairing::Side,
};
use std::{panic::resume_unwind, thread};

/// The beginning of the error of a command that the guest refuses.
const REJECTED: &str = "unplug of device was rejected by the guest";

#[test]
#[ignore = "needs the patched libvirt and a QEMU that speaks the protocol: cargo xtask libvirt --built patched"]
fn refused_dimm_fails_detach_device_with_its_reason_and_is_told_by_an_event_with_it() -> Result<()> {
    let mut domain = Domain::start(&Artifacts::find()?, Side::Ours, "libvirt.patched.dimm")?;
    let dimm = domain.plug_dimm()?;
    domain.guest.veto_offlining()?;
    let refused = domain.detach_dimm()?;
    assert!(refused.has_failed_with(&format!("{REJECTED}: memory-veto, errno 16, address 0x80000000")), "{refused:?}");
    domain.events.wait_for("device-removal-failed-reason", dimm)?;
    assert_eq!(names(&domain.events.about(dimm)), ["device-removal-failed", "device-removal-failed-reason"]);

    domain.guest.allow_offlining()?;
    let released = domain.detach_dimm()?;
    println!("{}", domain.transcript()?);
    assert!(matches!(released, Virsh::Done(_)), "{released:?}");
    domain.events.wait_for("device-removed", dimm)
}

#[test]
#[ignore = "needs the patched libvirt and a QEMU that speaks the protocol: cargo xtask libvirt --built patched"]
fn last_cpu_fails_setvcpus_with_its_reason() -> Result<()> {
    let mut domain = Domain::start(&Artifacts::find()?, Side::Ours, "libvirt.patched.cpu")?;
    domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let refused = domain.set_cpus(1)?;
    println!("{}", domain.transcript()?);
    assert!(refused.has_failed_with(&format!("{REJECTED}: last-cpu, errno 16")), "{refused:?}");
    Ok(())
}

#[test]
#[ignore = "needs the patched libvirt: cargo xtask libvirt --built patched"]
fn refusal_without_a_reason_is_told_as_before() -> Result<()> {
    let mut domain = Domain::start(&Artifacts::find()?, Side::Stock, "libvirt.patched.stock")?;
    domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let refused = domain.set_cpus(1)?;
    println!("{}", domain.transcript()?);
    assert!(matches!(&refused, Virsh::Failed(error) if error.ends_with(REJECTED)), "{refused:?}");
    Ok(())
}

/// The guest takes longer than the ten seconds after which libvirt gives up otherwise, and says success.
#[test]
#[ignore = "needs the patched libvirt and a QEMU that speaks the protocol: cargo xtask libvirt --built patched"]
fn promised_outcome_is_waited_for_however_long_it_takes() -> Result<()> {
    let mut domain = Domain::start(&Artifacts::find()?, Side::Ours, "libvirt.patched.slow")?;
    let dimm = domain.plug_dimm()?;
    let pages = domain.guest.hold_pages()?;
    let (daemon, guest) = (&domain.daemon, &mut domain.guest);
    let released = thread::scope(|scope| {
        let holds = scope.spawn(|| guest.sh("sleep 15").and_then(|_| guest.release_pages(pages)));
        let released = daemon.virsh(&DETACH_DIMM);
        holds.join().unwrap_or_else(|panic| resume_unwind(panic)).and(released)
    })?;
    println!("{}", domain.transcript()?);
    assert!(matches!(released, Virsh::Done(_)), "{released:?}");
    assert!(domain.events.has("device-removed"), "virsh has ended before {dimm} was gone");
    Ok(())
}
