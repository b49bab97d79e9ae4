// SPDX-License-Identifier: GPL-2.0-only

//! Tells the hypervisor of a pseries guest what became of each removal that it asked for, and why the guest refuses one.
//!
//! PAPR lets a hypervisor ask for a removal and gives the guest no way to say no; stock Linux hints at some refusals
//! and keeps silent about the others. This module watches the kernel's removal path and breaks that silence: to a
//! hypervisor that takes reports it promises an answer to every request, and gives it with the reason (level 1 of the
//! protocol in `spec/`); to any other one it gives the same hint as the kernel, where the kernel gives none (level 0).
//!
//! In the order that data flows: [`sentry`] puts a [`probe`] on each function of the path and attaches to a few tracepoints;
//! each reports to the watch in [`logic`], which decides; a refusal is told through [`firmware`]; what a probe must not do
//! is left to a [`worker`] that makes the [`report`]; and [`files`] shows it all in debugfs, as the kernel [`log`] does.
//! [`shim`] is the little C that this takes of the kernel. How a kernel loads it is the [`face`]'s affair.

// Before all that lists flags.
#[macro_use]
mod flags;

// Neither is to be seen from outside: what nobody calls is left out of the module, and what one function calls becomes a
// part of it.
#[expect(dead_code, unreachable_pub, reason = "tests, and the hypervisor's side, use more of them, as crates")]
mod logic;
#[expect(dead_code, unreachable_pub, reason = "tests, and the hypervisor's side, use more of them, as crates")]
#[path = "../spec/wire/src/wire/mod.rs"]
mod wire;

mod errno;
mod files;
mod firmware;
mod log;
mod place;
mod probe;
mod reboot;
mod report;
mod sentry;
mod shim;
mod worker;

#[cfg_attr(CONFIG_RUST, path = "face/kernel_crate.rs")]
#[cfg_attr(not(CONFIG_RUST), path = "face/freestanding.rs")]
mod face;

use crate::{
    errno::Errno,
    firmware::Firmware,
    logic::watch::Watch,
    place::Place,
    report::Report,
    sentry::Sentry,
    wire::offer::Offer,
    worker::Worker,
};

/// The watch, which begins anew with each load of the module.
static WATCH: Watch = Watch::new();

/// The probes, from load to unload.
static SENTRY: Place<Sentry> = Place::new();

/// Begins, or says in the log why not.
///
/// # Safety
///
/// It is called once, and nothing else of this module at the same time.
unsafe fn load() -> Result<(), Errno> {
    // SAFETY: They only look at what the kernel was built with and found at boot.
    let (pseries, return_probes) = unsafe { (shim::papr_is_pseries(), shim::papr_has_return_probes()) };
    if !pseries {
        log::error(format_args!("this is no pseries guest: no hypervisor asks for removals here"));
        return Err(Errno::ENODEV);
    }
    if !return_probes {
        log::error(format_args!("this kernel has no return probes (CONFIG_KPROBES): refusals cannot be seen"));
        return Err(Errno::EOPNOTSUPP);
    }
    if !Firmware::knows_connectors() {
        log::error(format_args!(
            "this machine's firmware has no RTAS calls for DR connectors: refusals cannot be told"
        ));
        return Err(Errno::ENODEV);
    }
    // SAFETY: By the contract of this function, no other worker was started.
    let worker = unsafe { Worker::start::<Report>() }?;
    WATCH.arming.discover(Firmware::offer(&mut [0; Offer::SIZE]));
    let sentry = Sentry::post(worker)?;
    log::info(format_args!("CPU, memory and PMEM removals pass probes on {sentry}"));
    WATCH.promise(sentry.senses(), sentry.is_complete(), &Firmware);
    // SAFETY: Only the files use the place, and there are none yet.
    unsafe { SENTRY.fill(sentry) };
    files::create();
    reboot::watch();
    if WATCH.arming.armed().0.is_empty() {
        log::info(format_args!("watching removals; refusals are signalled by a null transition (level 0)"));
    } else {
        log::info(format_args!("watching removals; the hypervisor is promised an answer (level 1)"));
    }
    Ok(())
}

/// Ends: no reader, then no probe, then no work.
///
/// # Safety
///
/// It is called once, after [`load`] has succeeded, and nothing else of this module at the same time.
unsafe fn unload() {
    reboot::unwatch();
    files::remove();
    // SAFETY: Only the files use the place, and there are none any more.
    let Some(sentry) = (unsafe { SENTRY.take() }) else { return };
    let missed = sentry.missed();
    sentry.stand_down();
    WATCH.withdraw_for_good(&Firmware);
    if missed != 0 {
        log::warn(format_args!("{missed} calls went by unseen; a refusal among them was not told"));
    }
}
