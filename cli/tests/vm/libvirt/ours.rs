// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU with the patches: each outcome once, with its reason, whoever asked.

use super::{domain, done, run, start, watch};
use anyhow::{Result, ensure};
use papr_unplug_tests::{deadline::Deadline, libvirt::domain::NAME, pairing::Side};

/// Beginning of the line about a refused DIMM.
const VETO: &str = "dimm0: refused: memory-veto, errno 16 (Device or resource busy), DRC 0x80000008, guest address \
                    0x80000000, reported\n";

/// Waits in the guest until a removal has met pages that are held.
const HAS_BEGUN: &str = "until dmesg | grep -q 'page dumped because: migration failure'; do :; done";

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn busy_dimm_is_refused_with_its_reason_and_released_when_it_is_asked_for_again() -> Result<()> {
    let mut domain = domain(Side::Ours, "ours.dimm")?;
    let dimm = domain.plug_dimm()?;
    domain.guest.veto_offlining()?;
    let refused = run(&domain, &["unplug", dimm])?;
    assert_eq!(refused.status, Some(3), "{refused:?}");
    assert!(refused.text.starts_with(VETO), "{refused:?}");

    domain.guest.allow_offlining()?;
    let released = run(&domain, &["unplug", dimm])?;
    assert_eq!((released.status, released.text.as_str()), (Some(0), "dimm0: released\n"), "{released:?}");
    domain.events.wait_for("device-removed", dimm)
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn last_cpu_is_refused_with_its_reason_and_goes_from_libvirts_definition_in_the_end() -> Result<()> {
    let mut domain = domain(Side::Ours, "ours.cpu")?;
    let cpu = domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let refused = run(&domain, &["unplug", cpu])?;
    assert_eq!(refused.status, Some(3), "{refused:?}");
    assert!(refused.text.starts_with("vcpu1: refused: last-cpu, "), "{refused:?}");

    domain.guest.sh("echo 1 > /sys/devices/system/cpu/cpu0/online")?;
    let released = run(&domain, &["unplug", cpu])?;
    assert_eq!((released.status, released.text.as_str()), (Some(0), "vcpu1: released\n"), "{released:?}");
    // Not every libvirt has an event for that.
    let deadline = Deadline::start();
    while done(domain.daemon.virsh(&["vcpucount", NAME, "--live", "--current"])?)? != "1" {
        ensure!(!deadline.left().is_zero(), "libvirt's definition still has {cpu}");
    }
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn each_program_that_watches_shows_the_reason_of_what_virsh_detaches() -> Result<()> {
    let mut domain = domain(Side::Ours, "ours.watch")?;
    let mut watches = [watch(&domain, &["watch"])?, watch(&domain, &["watch", "--json"])?];
    let dimm = domain.plug_dimm()?;
    domain.guest.veto_offlining()?;
    done(domain.detach(dimm)?)?;
    let [text, json] = &mut watches;
    let (text, json) = (text.line()?, json.line()?);
    assert!(text.contains(" dimm0 request 1 refused: memory-veto, errno 16"), "{text}");
    assert!(json.contains(r#""reason":"memory-veto""#) && json.contains(r#""persistence":""#), "{json}");
    assert!(json.starts_with(r#"{"time":"20"#), "{json}");
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn request_is_listed_and_waited_for_and_withdrawn_by_its_number() -> Result<()> {
    let mut domain = domain(Side::Ours, "ours.list")?;
    let dimm = domain.plug_dimm()?;
    let pages = domain.guest.hold_pages()?;
    let asked = run(&domain, &["unplug", "--no-wait", dimm])?;
    assert_eq!(asked.status, Some(0), "{asked:?}");
    assert!(asked.text.starts_with("dimm0: asked for, request 1\n"), "{asked:?}");
    let list = run(&domain, &["list"])?;
    assert!(list.text.contains("\n1        dimm0   memory  "), "{list:?}");
    let withdrawn = run(&domain, &["withdraw", "1"])?;
    assert_eq!(withdrawn.status, Some(0), "{withdrawn:?}");
    let ended = run(&domain, &["wait", "1"])?;
    assert_eq!(ended.status, Some(9), "{ended:?}");

    let asked = run(&domain, &["unplug", "--json", "--no-wait", dimm])?;
    assert!(asked.text.contains(r#""request":2"#), "{asked:?}");
    let wait = start(&domain, &["wait", "2"])?;
    domain.guest.release_pages(pages)?;
    let released = wait.end()?;
    assert_eq!(released.status, Some(0), "{released:?}");
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn outcome_while_libvirtd_is_away_is_shown_when_it_is_back() -> Result<()> {
    let mut domain = domain(Side::Ours, "ours.restart")?;
    let dimm = domain.plug_dimm()?;
    let pages = domain.guest.hold_pages()?;
    let mut programs = [watch(&domain, &["watch"])?, start(&domain, &["unplug", dimm])?];
    domain.guest.sh(HAS_BEGUN)?;
    domain.daemon.stop()?;
    for program in &mut programs {
        program.note_that("the connection to libvirt is lost; trying to connect again\n")?;
    }
    domain.guest.release_pages(pages)?;
    domain.guest.sh("until grep -q '^released 1$' /sys/kernel/debug/papr_unplug/counters; do :; done")?;
    domain.daemon.start_again()?;
    let [mut watch, unplug] = programs;
    let line = watch.line()?;
    assert!(line.ends_with(" dimm0 request 1 released\n"), "{line}");
    watch.note_that("connected to libvirt again")?;
    let released = unplug.end()?;
    assert_eq!((released.status, released.text.as_str()), (Some(0), "dimm0: released\n"), "{released:?}");
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn qemu_that_is_killed_ends_each_program() -> Result<()> {
    let mut domain = domain(Side::Ours, "ours.killed")?;
    let dimm = domain.plug_dimm()?;
    let _pages = domain.guest.hold_pages()?;
    let watch = watch(&domain, &["watch"])?;
    let unplug = start(&domain, &["unplug", dimm])?;
    domain.guest.sh(HAS_BEGUN)?;
    domain.daemon.kill_qemu(NAME)?;
    let unknown = unplug.end()?;
    assert_eq!(unknown.status, Some(5), "{unknown:?}");
    assert!(unknown.text.starts_with("dimm0: unknown: the connection to the VM is lost"), "{unknown:?}");
    let gone = watch.end()?;
    assert_eq!(gone.status, Some(5), "{gone:?}");
    Ok(())
}

#[test]
#[ignore = "needs libvirt and a QEMU that speaks the protocol: cargo xtask libvirt"]
fn device_and_domain_that_are_not_there_are_told_with_what_to_do() -> Result<()> {
    let domain = domain(Side::Ours, "ours.missing")?;
    let rejected = run(&domain, &["unplug", "dimm7"])?;
    assert_eq!(rejected.status, Some(6), "{rejected:?}");
    assert!(rejected.text.contains("`virsh dumpxml` shows it"), "{rejected:?}");
    domain.daemon.virsh_done(&["destroy", NAME])?;
    let missing = run(&domain, &["list"])?;
    assert_eq!(missing.status, Some(1), "{missing:?}");
    assert!(
        missing.notes.contains("cannot connect to the domain guest: `virsh list` shows the domains"),
        "{missing:?}"
    );
    Ok(())
}
