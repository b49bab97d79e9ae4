// SPDX-License-Identifier: GPL-2.0-only

//! The probes on the kernel's removal path, each reporting to the watch.

use crate::{
    firmware::Firmware,
    logic::{
        attempt::Task,
        watch::{Afterwards, Follow, Origin, Watch},
    },
    probe::{Call, Observer, Probe},
    report::Report,
    shim,
    wire::{drc::DrcIndex, hotplug::HotplugRequest},
    worker::Worker,
};
use kernel::{fmt, prelude::*, sync::Arc};

/// All probes, in force for as long as this lives.
pub(crate) struct Sentry {
    // The request comes last into force and goes first: while it is followed, so is all that happens on its way.
    request: Probe<Request>,
    offline: Option<Probe<Offline>>,
    release: Option<Probe<Release>>,
    unisolate: Option<Probe<Unisolate>>,
}

impl Sentry {
    /// Puts the probes in place.
    pub(crate) fn post(worker: &Arc<Worker<Report>>, firmware: Firmware) -> Result<Self> {
        let watch = worker.job().watch;
        let unisolate = optional(Probe::register(Unisolate(watch)), "this kernel tells no refusal by itself")?;
        let release = optional(Probe::register(Release(watch)), "a release that firmware refuses is not seen")?;
        let offline = optional(Probe::register(Offline(watch)), "log lines will not name the LMB that was busy")?;
        let request = Probe::register(Request { worker: worker.clone(), firmware }).inspect_err(|err| {
            pr_err!(
                "cannot probe {}: {:?}; without it no refusal can be seen\n",
                Request::SYMBOL,
                err
            );
        })?;
        Ok(Self { request, offline, release, unisolate })
    }

    /// Writes a line for each probe.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, Some(&self.request))?;
        write_line(f, self.offline.as_ref())?;
        write_line(f, self.release.as_ref())?;
        write_line(f, self.unisolate.as_ref())
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

fn write_line<O: Observer>(f: &mut fmt::Formatter<'_>, probe: Option<&Probe<O>>) -> fmt::Result {
    let symbol = O::SYMBOL.to_str().map_err(|_| fmt::Error)?;
    f.write_str(symbol)?;
    match probe {
        Some(probe) => f.write_fmt(format_args!(" active missed={}\n", probe.missed())),
        None => f.write_str(" absent\n"),
    }
}

/// A probe on a function that not every kernel has.
fn optional<O: Observer>(registered: Result<Probe<O>>, without: &str) -> Result<Option<Probe<O>>> {
    match registered {
        Ok(probe) => Ok(Some(probe)),
        Err(err) if err == ENOENT => {
            pr_notice!("this kernel has no {}: {}\n", O::SYMBOL, without);
            Ok(None)
        }
        Err(err) => {
            pr_err!("cannot probe {}: {:?}\n", O::SYMBOL, err);
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

/// A whole request, from the hypervisor or from the guest's administrator.
struct Request {
    worker: Arc<Worker<Report>>,
    firmware: Firmware,
}

impl Observer for Request {
    const SYMBOL: &'static CStr = c"handle_dlpar_errorlog";

    /// `int handle_dlpar_errorlog(struct pseries_hp_errorlog *hp_elog)`
    fn enter(&self, call: &Call<'_>) -> Follow {
        let watch = self.worker.job().watch;
        if watch.counters.missed.raise_to(call.missed()) {
            self.worker.wake();
        }
        match call.read(call.argument(0)) {
            Some(asked) => watch.request_begins(current_task(), origin(), &HotplugRequest::from(asked)),
            None => Follow::Nothing,
        }
    }

    fn leave(&self, returned: i32) {
        let watch = self.worker.job().watch;
        if watch.request_ends(current_task(), returned, &self.firmware) == Afterwards::Settle {
            self.worker.wake();
        }
    }
}

/// One LMB that is taken offline and removed.
struct Offline(&'static Watch);

impl Observer for Offline {
    const SYMBOL: &'static CStr = c"dlpar_remove_lmb";

    /// `static int dlpar_remove_lmb(struct drmem_lmb *lmb)`
    fn enter(&self, call: &Call<'_>) -> Follow {
        // SAFETY: It only returns a constant.
        let offset = unsafe { shim::papr_drmem_lmb_drc_index() };
        match call.read(call.argument(0).wrapping_add(offset)) {
            Some(index) => self.0.offline_begins(current_task(), DrcIndex(u32::from_ne_bytes(index))),
            None => Follow::Nothing,
        }
    }

    fn leave(&self, returned: i32) {
        self.0.offline_ends(current_task(), returned);
    }
}

/// One connector that is given back.
struct Release(&'static Watch);

impl Observer for Release {
    const SYMBOL: &'static CStr = c"dlpar_release_drc";

    /// `int dlpar_release_drc(u32 drc_index)`
    fn enter(&self, call: &Call<'_>) -> Follow {
        // CAST: A `u32` is passed in the low half of the register.
        self.0.release_begins(current_task(), DrcIndex(call.argument(0) as u32))
    }

    fn leave(&self, returned: i32) {
        self.0.release_ends(current_task(), returned);
    }
}

/// The signal that the kernel sends by itself for some refusals, since 5.13.
struct Unisolate(&'static Watch);

impl Observer for Unisolate {
    const SYMBOL: &'static CStr = c"dlpar_unisolate_drc";

    /// `int dlpar_unisolate_drc(u32 drc_index)`
    fn enter(&self, _call: &Call<'_>) -> Follow {
        self.0.unisolate_begins(current_task())
    }

    fn leave(&self, returned: i32) {
        self.0.unisolate_ends(current_task(), returned);
    }
}
