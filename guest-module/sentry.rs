// SPDX-License-Identifier: GPL-2.0-only

//! The probes on the kernel's removal path, each reporting to the watch.

use crate::{
    errno::Errno,
    firmware::Firmware,
    log,
    logic::{
        attempt::Task,
        watch::{Afterwards, Follow, Origin},
    },
    probe::{Call, Observer, Probe},
    shim,
    wire::{drc::DrcIndex, hotplug::HotplugRequest},
    worker::{self, Worker},
    WATCH,
};
use core::{ffi::CStr, fmt};

/// All probes, in force for as long as this lives.
///
/// # Invariants
///
/// While a probe is in force, the worker lives.
pub(crate) struct Sentry {
    // The request comes last into force and goes first: while it is followed, so is all that happens on its way.
    request: Probe<Request>,
    offline: Option<Probe<Offline>>,
    release: Option<Probe<Release>>,
    unisolate: Option<Probe<Unisolate>>,
    /// Last, because the probes wake it.
    _worker: Worker,
}

impl Sentry {
    /// Puts the probes in place.
    pub(crate) fn post(worker: Worker) -> Result<Self, Errno> {
        let unisolate = optional(Probe::register(), "this kernel tells no refusal by itself")?;
        let release = optional(Probe::register(), "a release that firmware refuses is not seen")?;
        let offline = optional(Probe::register(), "log lines will not name the LMB that was busy")?;
        let request = Probe::register().inspect_err(|err| {
            log::error(format_args!("cannot probe {}: {err}; without it no refusal can be seen", name::<Request>()));
        })?;
        Ok(Self { request, offline, release, unisolate, _worker: worker })
    }

    /// Writes a line for each probe.
    pub(crate) fn write(&self, to: &mut impl fmt::Write) -> fmt::Result {
        write_line(to, Some(&self.request))?;
        write_line(to, self.offline.as_ref())?;
        write_line(to, self.release.as_ref())?;
        write_line(to, self.unisolate.as_ref())
    }

    /// How many calls went by unseen, of all functions.
    pub(crate) fn missed(&self) -> u64 {
        let optional = [
            self.offline.as_ref().map(Probe::missed),
            self.release.as_ref().map(Probe::missed),
            self.unisolate.as_ref().map(Probe::missed),
        ];
        optional.iter().flatten().fold(self.request.missed(), |sum, missed| sum.wrapping_add(*missed))
    }
}

fn write_line<O: Observer>(to: &mut impl fmt::Write, probe: Option<&Probe<O>>) -> fmt::Result {
    match probe {
        Some(probe) => writeln!(to, "{} active missed={}", name::<O>(), probe.missed()),
        None => writeln!(to, "{} absent", name::<O>()),
    }
}

/// The function that is probed.
fn name<O: Observer>() -> &'static str {
    O::SYMBOL.to_str().unwrap_or_default()
}

/// A probe on a function that not every kernel has.
fn optional<O: Observer>(registered: Result<Probe<O>, Errno>, without: &str) -> Result<Option<Probe<O>>, Errno> {
    match registered {
        Ok(probe) => Ok(Some(probe)),
        Err(Errno::ENOENT) => {
            log::notice(format_args!("this kernel has no {}: {without}", name::<O>()));
            Ok(None)
        }
        Err(err) => {
            log::error(format_args!("cannot probe {}: {err}", name::<O>()));
            Err(err)
        }
    }
}

fn current_task() -> Task {
    // SAFETY: There is always a current task.
    Task(unsafe { shim::papr_current() } as usize)
}

fn origin() -> Origin {
    // SAFETY: There is always a current task.
    if unsafe { shim::papr_current_is_worker() } {
        Origin::Hypervisor
    } else {
        Origin::Guest
    }
}

fn wake() {
    // SAFETY: Only probes of the sentry call this, and by its invariant the worker lives while they are in force.
    unsafe { worker::wake() };
}

/// A whole request, from the hypervisor or from the guest's administrator.
struct Request;

impl Observer for Request {
    const SYMBOL: &'static CStr = c"handle_dlpar_errorlog";

    /// `int handle_dlpar_errorlog(struct pseries_hp_errorlog *hp_elog)`
    fn enter(call: &Call<'_>) -> Follow {
        if WATCH.counters.missed.raise_to(call.missed()) {
            wake();
        }
        match call.read(call.argument(0)) {
            Some(asked) => WATCH.request_begins(current_task(), origin(), &HotplugRequest::from(asked)),
            None => Follow::Nothing,
        }
    }

    fn leave(returned: i32) {
        if WATCH.request_ends(current_task(), returned, &Firmware) == Afterwards::Settle {
            wake();
        }
    }
}

/// One LMB that is taken offline and removed.
struct Offline;

impl Observer for Offline {
    const SYMBOL: &'static CStr = c"dlpar_remove_lmb";

    /// `static int dlpar_remove_lmb(struct drmem_lmb *lmb)`
    fn enter(call: &Call<'_>) -> Follow {
        // SAFETY: It only returns a constant.
        let offset = unsafe { shim::papr_drmem_lmb_drc_index() };
        match call.read(call.argument(0).wrapping_add(offset)) {
            Some(index) => WATCH.offline_begins(current_task(), DrcIndex(u32::from_ne_bytes(index))),
            None => Follow::Nothing,
        }
    }

    fn leave(returned: i32) {
        WATCH.offline_ends(current_task(), returned);
    }
}

/// One connector that is given back.
struct Release;

impl Observer for Release {
    const SYMBOL: &'static CStr = c"dlpar_release_drc";

    /// `int dlpar_release_drc(u32 drc_index)`
    fn enter(call: &Call<'_>) -> Follow {
        // CAST: A `u32` is passed in the low half of the register.
        WATCH.release_begins(current_task(), DrcIndex(call.argument(0) as u32))
    }

    fn leave(returned: i32) {
        WATCH.release_ends(current_task(), returned);
    }
}

/// The signal that the kernel sends by itself for some refusals, since 5.13.
struct Unisolate;

impl Observer for Unisolate {
    const SYMBOL: &'static CStr = c"dlpar_unisolate_drc";

    /// `int dlpar_unisolate_drc(u32 drc_index)`
    fn enter(_call: &Call<'_>) -> Follow {
        WATCH.unisolate_begins(current_task())
    }

    fn leave(returned: i32) {
        WATCH.unisolate_ends(current_task(), returned);
    }
}
