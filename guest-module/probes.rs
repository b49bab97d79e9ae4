// SPDX-License-Identifier: GPL-2.0-only

//! Probes on the kernel's removal path. Each reports to the tracker.

mod canary;
mod event;
mod followed;
mod handler;
mod handover;
mod observation;
mod step;
mod work;

pub(crate) use self::{
    canary::{all_probes_fire, probes_fire},
    handover::look,
};

use self::{
    canary::Canary,
    event::Event,
    handler::Handlers,
    handover::HandoverProbes,
    observation::ObservationProbes,
    step::{Lmb, Release, TableWritten, Unisolate},
    work::Traces,
};
use crate::{
    bindings,
    entry::{Error, ENOENT},
    log,
    logic::observations::ProbeSet,
    report,
    return_probe::{Observer, Probe, Registered},
    worker::{self, Worker},
    TRACKER,
};
use core::{ffi::CStr, fmt, str};

/// All probes, in force while this exists.
///
/// # Invariants
///
/// The worker exists while a probe is in force.
pub(crate) struct Probes {
    // Registered from the last to the first: while a removal is followed, so is every step of it.
    handover: Option<HandoverProbes>,
    event: Option<Probe<Event>>,
    canary: Probe<Canary>,
    traces: Traces,
    handlers: Handlers,
    lmb: Option<Probe<Lmb>>,
    release: Option<Probe<Release>>,
    unisolate: Option<Probe<Unisolate>>,
    table_written: Option<Probe<TableWritten>>,
    observations: ObservationProbes,
    worker: Worker,
}

impl Probes {
    /// Registers the probes.
    pub(crate) fn register(worker: Worker) -> Result<Self, Error> {
        let observations = ObservationProbes::register();
        let table_written = Probe::register().ok();
        let unisolate = optional(Probe::register(), "this kernel sends no hint by itself")?;
        let release = optional(Probe::register(), "a release that firmware refuses is not seen")?;
        let lmb = optional(Probe::register(), "the LMB that was busy is not named")?;
        let handlers = Handlers::register()?;
        let canary = Probe::register().inspect_err(|err| log_failure(name::<Canary>(), err, ""))?;
        let traces = Traces::attach()?;
        let event = optional(Probe::register(), "no answer can be promised")?;
        let handover = HandoverProbes::register(traces.has_processes())?;
        Ok(Self {
            handover,
            event,
            canary,
            traces,
            handlers,
            lmb,
            release,
            unisolate,
            table_written,
            observations,
            worker,
        })
    }

    /// Returns the probes whose silence means something.
    pub(crate) fn set(&self) -> ProbeSet {
        let mut probes = self.observations.set() | self.traces.set() | self.handlers.set();
        if self.lmb.is_some() {
            probes |= ProbeSet::LMBS;
        }
        probes
    }

    /// Returns whether every request and its end are seen (PUE-G-011).
    pub(crate) fn is_complete(&self) -> bool {
        // SAFETY: The function only reads the device tree.
        let has_events = unsafe { bindings::papr_has_event_source() };
        if !has_events {
            log::notice(format_args!(
                "this machine has no source of hot plug events: no answer can be promised"
            ));
        }
        has_events && self.event.is_some()
    }

    /// Returns whether it is seen what becomes of the requests that are left to user space. What is
    /// read from here on is seen.
    pub(crate) fn follow_user_space(&self) -> bool {
        if self.handover.is_some() {
            handover::wake_readers();
        }
        self.handover.is_some()
    }

    /// Has the worker tell what firmware was too busy for, and waits until it has. Sleeps.
    pub(crate) fn settle(&self) {
        // SAFETY: By the type invariant the worker exists.
        unsafe { worker::wake() };
        self.worker.flush();
    }

    /// Unregisters the probes, and has what they saw told before the worker ends. Sleeps.
    pub(crate) fn unregister(self) {
        let worker = {
            let Self {
                handover,
                event,
                canary,
                traces,
                handlers,
                lmb,
                release,
                unisolate,
                table_written,
                observations,
                worker,
            } = self;
            drop(handover);
            drop(event);
            drop(traces);
            drop(canary);
            drop(handlers);
            drop((lmb, release, unisolate, table_written, observations));
            worker
        };
        followed::follow_none();
        while TRACKER.with(|tracker| tracker.close()) {
            report::tell();
        }
        // SAFETY: The worker exists.
        unsafe { worker::wake() };
        drop(worker);
    }

    /// Writes a line for each probe.
    pub(crate) fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
        self.handlers.write(to)?;
        write_line(to, self.lmb.as_ref())?;
        write_line(to, self.release.as_ref())?;
        write_line(to, self.unisolate.as_ref())?;
        write_line(to, self.table_written.as_ref())?;
        write_line(to, self.event.as_ref())?;
        HandoverProbes::write(self.handover.as_ref(), to)?;
        self.observations.write(to)
    }
}

/// The names of the probed functions.
impl fmt::Display for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handlers.fmt(f)?;
        let others = [
            self.event.as_ref().map(|_| name::<Event>()),
            self.lmb.as_ref().map(|_| name::<Lmb>()),
            self.release.as_ref().map(|_| name::<Release>()),
            self.unisolate.as_ref().map(|_| name::<Unisolate>()),
        ];
        others.iter().flatten().try_for_each(|name| write!(f, ", {name}"))
    }
}

fn write_line<O: Observer>(to: &mut dyn fmt::Write, probe: Option<&Probe<O>>) -> fmt::Result {
    write_state(to, O::SYMBOL, probe.map(Probe::registered))
}

/// Writes the line of a probe. Not generic, so that the module has it once and not for each probe.
#[inline(never)]
fn write_state(to: &mut dyn fmt::Write, symbol: &CStr, probe: Option<&Registered>) -> fmt::Result {
    match probe {
        Some(probe) => {
            let state = if probes_fire() { "active" } else { "off" };
            writeln!(to, "{} {state} missed={}", text(probe.symbol()), probe.missed())
        }
        None => writeln!(to, "{} absent", text(symbol)),
    }
}

/// Returns the name of the function that is probed.
fn name<O: Observer>() -> &'static str {
    text(O::SYMBOL)
}

fn text(symbol: &CStr) -> &str {
    // SAFETY: The names of functions are ASCII. To check that would be large in the module.
    unsafe { str::from_utf8_unchecked(symbol.to_bytes()) }
}

/// Allows a kernel to lack the function that is probed.
fn optional<O: Observer>(
    registered: Result<Probe<O>, Error>,
    without: &str,
) -> Result<Option<Probe<O>>, Error> {
    match registered {
        Ok(probe) => Ok(Some(probe)),
        Err(err) if err == ENOENT => {
            log_absent(name::<O>(), without);
            Ok(None)
        }
        Err(err) => {
            log_failure(name::<O>(), &err, "");
            Err(err)
        }
    }
}

#[inline(never)]
fn log_absent(function: &str, without: &str) {
    log::notice(format_args!("this kernel has no {function}: {without}"));
}

/// Logs that a function cannot be probed, and what follows from that.
#[inline(never)]
fn log_failure(function: &str, err: &Error, without: &str) {
    log::error(format_args!("cannot probe {function}: error {}{without}", err.to_errno()));
}

/// Returns whether only one CPU is online.
fn is_last_cpu() -> bool {
    // SAFETY: The function only reads the kernel's count of CPUs.
    unsafe { bindings::papr_is_last_cpu() }
}
