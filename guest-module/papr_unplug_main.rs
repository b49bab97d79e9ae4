// SPDX-License-Identifier: GPL-2.0-only

//! Module that tells the hypervisor of a pseries guest the outcome of each removal that it
//! requests.
//!
//! PAPR lets a hypervisor request a removal and gives the guest no way to refuse. Stock Linux hints
//! at some refusals and is silent about the others. This module follows the kernel's removal path,
//! and the user space to which the kernel leaves requests for PCI devices. To a hypervisor that
//! takes reports it promises an answer to every request, and gives it with the reason (level 1 of
//! the protocol in `spec/`). To any other one it gives the same hint as the kernel, where the
//! kernel gives none (level 0).
//!
//! In the order that data flows: [`probes`] are [`return_probe`]s and tracepoints on the path. Each
//! reports to the tracker of [`logic`], under a [`lock`]. A [`report`] delivers what the tracker
//! decides through [`firmware`], and to the kernel [`log`]; what a probe must not do is left to a
//! [`worker`]. [`files`] shows the state in debugfs. [`bindings`] declares the C part. [`entry`] is
//! how the kernel loads the module.

// Before the modules that list flags.
#[macro_use]
mod flags;
#[expect(unreachable_pub, reason = "the same files are a crate for tests")]
mod logic;
#[expect(unreachable_pub, reason = "the same files are a crate for the hypervisor")]
#[expect(dead_code, reason = "the hypervisor uses more of the wire types than a guest")]
#[path = "../spec/wire/src/wire/mod.rs"]
mod wire;

mod bindings;
mod files;
mod firmware;
mod late_init;
mod lock;
mod log;
mod probes;
mod reboot;
mod report;
mod resume;
mod return_probe;
mod room;
mod worker;

#[cfg_attr(CONFIG_RUST, path = "entry/kernel_crate.rs")]
#[cfg_attr(not(CONFIG_RUST), path = "entry/standalone.rs")]
mod entry;

use crate::{
    entry::{Error, ENODEV, EOPNOTSUPP},
    firmware::Firmware,
    late_init::LateInit,
    lock::IrqLock,
    logic::{
        handover::{self, Handed},
        history,
        notice::Notice,
        refusal::Refusal,
        request_queue::{self, WaitingRequest},
        retry_queue,
        tracker::Tracker,
    },
    probes::Probes,
    report::Report,
    room::Room,
    wire::offer::Offer,
    worker::Worker,
};

/// The name that the macros of the kernel crate print. They look for it in the root, while
/// `module!` is in [`entry`].
#[cfg(CONFIG_RUST)]
const __LOG_PREFIX: &[u8] = b"papr_unplug\0";

/// The state of the module.
// SAFETY: There is no other lock.
static TRACKER: IrqLock<Tracker> = unsafe { IrqLock::new(Tracker::new()) };

/// The probes, from load to unload.
static PROBES: LateInit<Probes> = LateInit::new();

/// The memory of the tracker's queues and history, from load to unload.
static ROOM: LateInit<(Room<WaitingRequest>, Room<Notice>, Room<Refusal>, Room<Handed>)> =
    LateInit::new();

/// Loads the module, or logs why not.
///
/// # Safety
///
/// The function is called once, and nothing else of this module at the same time.
unsafe fn load() -> Result<(), Error> {
    // SAFETY: The function only reads what the kernel found at boot.
    if unsafe { !bindings::papr_is_pseries() } {
        log::error(format_args!("this is no pseries guest: no hypervisor asks for removals here"));
        return Err(ENODEV);
    }
    // SAFETY: The function may be called in any task that may sleep.
    if unsafe { bindings::papr_kernel_answers() } {
        log::error(format_args!(
            "this kernel answers the hypervisor by itself: the module is not needed"
        ));
        return Err(ENODEV);
    }
    // SAFETY: The function only returns what the kernel was built with.
    if unsafe { !bindings::papr_has_return_probes() } {
        log::error(format_args!(
            "this kernel has no return probes (CONFIG_KPROBES): refusals cannot be seen"
        ));
        return Err(EOPNOTSUPP);
    }
    if !Firmware::knows_connectors() {
        log::error(format_args!(
            "this machine's firmware has no RTAS calls for DR connectors: refusals cannot be told"
        ));
        return Err(ENODEV);
    }
    // SAFETY: The function only reads a parameter and what the kernel was built with.
    if unsafe { bindings::papr_must_not_probe() } {
        log::error(format_args!(
            "probes can crash this kernel, which is preemptible; if it has the fix, load with \
             unsafe_kprobes=1"
        ));
        return Err(EOPNOTSUPP);
    }
    // SAFETY: By the contract of this function, no other worker was started.
    let worker = unsafe { Worker::start::<Report>() }?;
    let requests = Room::allocate(request_queue::CAPACITY, WaitingRequest::EMPTY)?;
    let notices = Room::allocate(retry_queue::CAPACITY, Notice::EMPTY)?;
    let refusals = Room::allocate(history::CAPACITY, Refusal::EMPTY)?;
    let handed = Room::allocate(handover::CAPACITY, Handed::EMPTY)?;
    // SAFETY: The queue is not used after this function has failed, or after `unload`.
    let requests_room = unsafe { requests.items() };
    // SAFETY: As above.
    let notices_room = unsafe { notices.items() };
    // SAFETY: As above.
    let refusals_room = unsafe { refusals.items() };
    // SAFETY: As above.
    let handed_room = unsafe { handed.items() };
    TRACKER.with(|tracker| {
        tracker.make_room(requests_room, notices_room, refusals_room, handed_room);
    });
    let mut property = [0; Offer::SIZE];
    let property = Firmware::offer(&mut property);
    TRACKER.with(|tracker| tracker.arming.discover(property));
    let probes = Probes::register(worker)?;
    log::info(format_args!("CPU, memory and PMEM removals pass probes on {probes}"));
    let (set, complete) = (probes.set(), probes.is_complete());
    let follows_user_space = probes.follow_user_space();
    TRACKER.with(|tracker| {
        if follows_user_space {
            tracker.follow_user_space();
        }
        tracker.promise(set, complete);
    });
    report::tell_all();
    // SAFETY: Only `unload` uses the room.
    unsafe { ROOM.fill((requests, notices, refusals, handed)) };
    // SAFETY: Only the files and the reboot notifier use the room, and there are none yet.
    unsafe { PROBES.fill(probes) };
    reboot::watch();
    resume::watch();
    if TRACKER.with(|tracker| tracker.arming.armed().0.is_empty()) {
        log::info(format_args!(
            "watching removals; refusals are signalled by a null transition (level 0)"
        ));
    } else {
        log::info(format_args!(
            "watching removals; the hypervisor is promised an answer (level 1)"
        ));
    }
    Ok(())
}

/// Unloads the module, when no file is read any more: first the probes end, then the worker.
///
/// # Safety
///
/// The function is called once, after [`load`] has succeeded, and nothing else of this module at
/// the same time.
unsafe fn unload() {
    resume::unwatch();
    reboot::unwatch();
    // SAFETY: Only the files and the reboot notifier use the room, and there are none any more.
    if let Some(probes) = unsafe { PROBES.take() } {
        probes.unregister();
    }
    TRACKER.with(|tracker| tracker.withdraw_for_good());
    report::tell_all();
    // SAFETY: Nothing of this module uses the queues any more.
    drop(unsafe { ROOM.take() });
    let missed = TRACKER.with(|tracker| tracker.counters.missed);
    if missed != 0 {
        log::warn(format_args!("{missed} calls went by unseen: reasons may have been less exact"));
    }
}
