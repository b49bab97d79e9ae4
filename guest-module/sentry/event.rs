// SPDX-License-Identifier: GPL-2.0-only

//! How a request comes to the kernel, and how its work goes.

use super::{current_task, wake_if_unsettled};
use crate::{
    firmware::Firmware,
    log,
    logic::{arrivals::Work, clues::Senses, event_log, watch::Follow},
    probe::{calls_missed, read, Call, Observer},
    report, shim,
    wire::{hotplug::HotplugRequest, token::Token},
    WATCH,
};
use core::{
    ffi::{c_int, c_ulong, CStr},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The bytes of a hot plug section before what `queue_hotplug_event` is given.
const HEADER: usize = 8;

/// Where the request stood in the last event that was seen. The kernel reads each into the same place.
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// The request that stands at this place, in a log.
fn logged_at(place: usize) -> Option<(HotplugRequest, Token)> {
    event_log::request(&read(place.wrapping_sub(HEADER + event_log::BEFORE))?)
}

/// The request in the log, if it stands where the last one stood.
fn logged() -> Option<(HotplugRequest, Token)> {
    logged_at(PLACE.load(Relaxed))
}

/// The kernel takes an event, in an interrupt, under a lock.
pub(super) struct Event;

impl Observer for Event {
    const SYMBOL: &'static CStr = c"queue_hotplug_event";

    /// `void queue_hotplug_event(struct pseries_hp_errorlog *hp_errlog)`
    fn enter(call: &Call<'_>) -> Follow {
        let place = call.argument(0);
        PLACE.store(place, Relaxed);
        let unlogged = || Some((HotplugRequest::from(call.read(place)?), Token::NONE));
        let Some((asked, token)) = logged_at(place).or_else(unlogged) else { return Follow::Nothing };
        let follow = WATCH.event_begins(current_task(), &asked, token);
        // SAFETY: It only looks at the context.
        if unsafe { shim::papr_in_interrupt() } {
            // It ends with the interrupt, which is seen. Where interrupts have threads (`threadirqs`), it is not.
            return Follow::Nothing;
        }
        follow
    }

    fn leave(_returned: i32) {
        WATCH.event_ends(&Firmware);
        wake_if_unsettled();
    }
}

/// What is asked by the request that the kernel made this of, if it was one.
pub(super) fn request_of(Work(work): Work) -> Option<HotplugRequest> {
    // SAFETY: It only returns a constant.
    let place = work.wrapping_add(unsafe { shim::papr_work_request() });
    read(usize::from_ne_bytes(read(place)?)).map(HotplugRequest::from)
}

/// The tracepoints, attached for as long as this lives.
pub(super) struct Traces {
    cpu_states: bool,
}

static HANDLERS: shim::Traces = shim::Traces { interrupted, queued, begins, ends, cpu_state };

impl Traces {
    /// Attaches to them. Without them requests are followed no further than level 0 needs.
    pub(super) fn attach() -> Option<Self> {
        let mut cpu_states = false;
        // SAFETY: The handlers may be called for ever, and there is room for the answer.
        let attached = unsafe { shim::papr_traces_attach(&HANDLERS, &mut cpu_states) };
        if attached != 0 {
            log::notice(format_args!("this kernel's work cannot be traced: no answer can be promised"));
        }
        (attached == 0).then_some(Self { cpu_states })
    }

    /// What can be seen through them.
    pub(super) fn senses(&self) -> Senses {
        let states = if self.cpu_states { Senses::CPU_STATES } else { Senses::default() };
        Senses(Senses::WORK.0 | states.0)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // SAFETY: They were attached.
        unsafe { shim::papr_traces_detach() };
    }
}

unsafe extern "C" fn interrupted() {
    WATCH.interrupt_ends(current_task(), calls_missed::<Event>(), logged, &Firmware);
    wake_if_unsettled();
}

unsafe extern "C" fn queued(work: c_ulong, function: c_ulong) {
    let work = Work(work as usize);
    WATCH.work_is_queued(current_task(), work, function as usize, || request_of(work), logged);
}

unsafe extern "C" fn begins(work: c_ulong) {
    if WATCH.work_begins(current_task(), Work(work as usize), &Firmware) {
        wake_if_unsettled();
    }
}

unsafe extern "C" fn ends() {
    if WATCH.work_ends(current_task(), &Firmware) {
        report::write();
        wake_if_unsettled();
    }
}

unsafe extern "C" fn cpu_state(cpu: u32, reached: u32, state: u32, returned: c_int) {
    WATCH.cpu_state_ends(cpu, reached, state, returned);
}
