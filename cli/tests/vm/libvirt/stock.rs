// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stock QEMU: a refusal is told without a reason.

use super::{domain, run};
use anyhow::Result;
use papr_unplug_tests::pairing::Side;

/// Note of `unplug` on this QEMU.
const LIMITS: &str = "papr-unplug: this VM's QEMU gives no reason for a refusal, and a guest may refuse silently; waiting until \
                      there is an answer\n";

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn busy_dimm_is_refused_without_a_reason_and_released_when_it_is_asked_for_again() -> Result<()> {
    let mut domain = domain(Side::Stock, "stock.dimm")?;
    let dimm = domain.plug_dimm()?;
    domain.guest.veto_offlining()?;
    let refused = run(&domain, &["unplug", dimm])?;
    assert_eq!(refused.status, Some(3), "{refused:?}");
    assert!(
        refused.notes.ends_with(LIMITS) && refused.text.starts_with("dimm0: refused; this VM gives no reason\n"),
        "{refused:?}"
    );

    domain.guest.allow_offlining()?;
    let released = run(&domain, &["unplug", dimm])?;
    assert_eq!((released.status, released.text.as_str()), (Some(0), "dimm0: released\n"), "{released:?}");
    Ok(())
}

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn last_cpu_is_refused_without_a_reason_and_released_when_it_is_not_the_last() -> Result<()> {
    let mut domain = domain(Side::Stock, "stock.cpu")?;
    let cpu = domain.plug_cpu()?;
    domain.guest.sh("echo 0 > /sys/devices/system/cpu/cpu0/online")?;
    let refused = run(&domain, &["unplug", cpu])?;
    assert_eq!(refused.status, Some(3), "{refused:?}");
    domain.guest.sh("echo 1 > /sys/devices/system/cpu/cpu0/online")?;
    let released = run(&domain, &["unplug", cpu])?;
    assert_eq!((released.status, released.text.as_str()), (Some(0), "vcpu1: released\n"), "{released:?}");
    Ok(())
}

#[test]
#[ignore = "needs libvirt: cargo xtask libvirt"]
fn list_says_that_this_qemu_lists_nothing() -> Result<()> {
    let list = run(&domain(Side::Stock, "stock.list")?, &["list"])?;
    assert_eq!(list.status, Some(7), "{list:?}");
    assert!(list.notes.contains("it has no query-device-unplug-requests"), "{list:?}");
    Ok(())
}
