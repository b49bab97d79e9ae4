// SPDX-License-Identifier: GPL-2.0-only

//! The probes on the kernel's removal path, each reporting to the watch.

mod clue;
mod event;
mod request;
mod step;
mod work;

use self::{
    clue::Clues,
    event::{Event, Traces},
    request::Request,
    step::{Lmb, Release, Unisolate},
    work::Work,
};
use crate::{
    errno::Errno,
    firmware::Firmware,
    log,
    logic::{attempt::Task, clues::Senses},
    probe::{Observer, Probe, Registered},
    shim,
    worker::{self, Worker},
    WATCH,
};
use core::{ffi::CStr, fmt, ptr};

/// All probes, in force for as long as this lives.
///
/// # Invariants
///
/// While a probe is in force, the worker lives.
pub(crate) struct Sentry {
    // The request comes last into force and goes first: while it is followed, so is all that happens on its way.
    request: Attempts,
    event: Option<Probe<Event>>,
    lmb: Option<Probe<Lmb>>,
    release: Option<Probe<Release>>,
    unisolate: Option<Probe<Unisolate>>,
    clues: Clues,
    traces: Option<Traces>,
    /// Last, because the probes wake it.
    worker: Worker,
}

/// By what the attempts at a request are seen.
enum Attempts {
    /// By the function that makes them.
    Whole(Probe<Request>),
    /// By the work that the kernel makes of a request.
    Work(Work),
}

impl Attempts {
    /// Puts the probes in place: the function's, or where the kernel has no such function, those on its work.
    fn post() -> Result<Self, Errno> {
        // SAFETY: It only looks at what the module was told.
        if unsafe { shim::papr_is_to_go_by_work() } {
            return Work::post().map(Self::Work);
        }
        match Probe::register() {
            Ok(whole) => Ok(Self::Whole(whole)),
            Err(Errno::ENOENT) => {
                log::notice(format_args!(
                    "this kernel has no {}: requests are followed by its work on them instead",
                    name::<Request>()
                ));
                Work::post().map(Self::Work)
            }
            Err(err) => {
                log::error(format_args!("cannot probe {}: {err}", name::<Request>()));
                Err(err)
            }
        }
    }

    fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Self::Whole(probe) => write_line(to, Some(probe)),
            Self::Work(work) => work.write(to),
        }
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(_) => f.write_str(name::<Request>()),
            Self::Work(work) => work.fmt(f),
        }
    }
}

impl Sentry {
    /// Puts the probes in place.
    pub(crate) fn post(worker: Worker) -> Result<Self, Errno> {
        let traces = Traces::attach();
        let clues = Clues::post();
        let unisolate = optional(Probe::register(), "this kernel tells no refusal by itself")?;
        let release = optional(Probe::register(), "a release that firmware refuses is not seen")?;
        let lmb = optional(Probe::register(), "log lines will not name the LMB that was busy")?;
        // Without the tracepoints, each would seem lost.
        let event = match traces {
            Some(_) => optional(Probe::register(), "no answer can be promised")?,
            None => None,
        };
        let request = Attempts::post()?;
        Ok(Self { request, event, lmb, release, unisolate, clues, traces, worker })
    }

    /// What can be seen.
    pub(crate) fn senses(&self) -> Senses {
        let lmbs = self.lmb.as_ref().map_or(Senses::default(), |_| Senses::LMBS);
        let states = self.traces.as_ref().map_or(Senses::default(), Traces::senses);
        Senses(self.clues.senses().0 | lmbs.0 | states.0)
    }

    /// Whether every request is seen, and what becomes of it (PUE-G-011).
    pub(crate) fn is_complete(&self) -> bool {
        self.event.is_some() && self.traces.is_some()
    }

    /// The worker, which lives as long as this.
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Takes the probes away, and has what they saw told before the worker ends. Sleeps.
    pub(crate) fn stand_down(self) {
        let Self { request, event, lmb, release, unisolate, clues, traces, worker } = self;
        drop(request);
        drop(event);
        drop((lmb, release, unisolate, clues));
        drop(traces);
        WATCH.close(&Firmware);
        wake();
        drop(worker);
    }

    /// Writes a line for each probe.
    pub(crate) fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
        self.request.write(to)?;
        write_line(to, self.lmb.as_ref())?;
        write_line(to, self.release.as_ref())?;
        write_line(to, self.unisolate.as_ref())?;
        write_line(to, self.event.as_ref())?;
        self.clues.write(to)
    }

    /// How many calls went by unseen, of all functions.
    pub(crate) fn missed(&self) -> u64 {
        missed()
    }
}

/// The names of the functions that are probed.
impl fmt::Display for Sentry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)?;
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

/// Apart, so that there is one of it and not one for each probe.
#[inline(never)]
fn write_state(to: &mut dyn fmt::Write, symbol: &CStr, probe: Option<&Registered>) -> fmt::Result {
    match probe {
        Some(probe) => writeln!(to, "{} active missed={}", text(probe.symbol()), probe.missed()),
        None => writeln!(to, "{} absent", text(symbol)),
    }
}

/// The function that is probed.
fn name<O: Observer>() -> &'static str {
    text(O::SYMBOL)
}

#[inline(never)]
fn text(symbol: &CStr) -> &str {
    symbol.to_str().unwrap_or_default()
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

/// How many calls went by unseen, of all functions that are probed.
fn missed() -> u64 {
    // SAFETY: It only counts.
    unsafe { shim::papr_probes_missed(ptr::null()) }
}

fn wake() {
    // SAFETY: Only probes of the sentry call this, or the sentry itself; by its invariant the worker lives.
    unsafe { worker::wake() };
}

fn wake_if_unsettled() {
    if WATCH.is_unsettled() {
        wake();
    }
}
