// SPDX-License-Identifier: GPL-2.0-only

//! Tracepoints at which the kernel queues, begins and ends its work on a request.
//!
//! The kernel calls `pseries_hp_work_fn` through a pointer, so it is a function of its own in every
//! kernel, and its address tells its work items from all others.

use super::{
    event::logged,
    followed::{current_task, follow, follow_none, followed_anywhere, is_followed},
    handover, probes_fire,
};
use crate::{
    bindings,
    entry::{to_result, Error},
    log,
    logic::{
        observations::ProbeSet,
        removal::Begin,
        request_queue::{request_at, Work},
        tracker::Tracker,
    },
    report,
    return_probe::{read, Group},
    wire::hotplug::HotplugRequest,
    TRACKER,
};
use core::{
    ffi::{c_int, c_ulong},
    num::NonZeroUsize,
};

/// The tracepoints, attached while this exists.
pub(super) struct Traces(bindings::Traced);

static HANDLERS: bindings::Traces = bindings::Traces {
    interrupted,
    queued,
    begins,
    ends,
    cpu_state,
    forks: handover::forks,
    exits: handover::exits,
    finds_locked: handover::finds_locked,
};

impl Traces {
    /// Attaches to the tracepoints.
    pub(super) fn attach() -> Result<Self, Error> {
        let mut traced = bindings::Traced::default();
        // SAFETY: The handlers are static.
        let err = unsafe { bindings::papr_traces_attach(&HANDLERS, &mut traced) };
        to_result(err).inspect_err(|err| {
            log::error(format_args!(
                "cannot trace the kernel's work on requests: error {}; without it no removal is seen",
                err.to_errno()
            ));
        })?;
        Ok(Self(traced))
    }

    /// Returns whether the starts and ends of processes are seen.
    pub(super) fn has_processes(&self) -> bool {
        self.0.processes
    }

    /// Returns the tracepoints whose silence means something.
    pub(super) fn set(&self) -> ProbeSet {
        if self.0.cpu_states {
            ProbeSet::CPU_STATES
        } else {
            ProbeSet::default()
        }
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // SAFETY: They were attached.
        unsafe { bindings::papr_traces_detach() };
    }
}

/// Returns the request that the kernel made a work item of.
fn request_of(Work(item): Work) -> Option<HotplugRequest> {
    // SAFETY: The function only returns a constant.
    let behind = item.get().wrapping_add(unsafe { bindings::papr_work_request() });
    read(request_at(behind, read(behind)?)).map(HotplugRequest::from)
}

fn work_at(address: c_ulong) -> Option<Work> {
    NonZeroUsize::new(address as usize).map(Work)
}

unsafe extern "C" fn interrupted(handled: bool) {
    let (task, events, logs) = (current_task(), Group::Events.missed(), Group::Logs.missed());
    let (is_seen, is_known) = TRACKER.with(|tracker| {
        let is_known = handover::interrupt_ends(tracker, logs);
        if handled {
            return (tracker.interrupt_ends(task, events, logged), is_known);
        }
        tracker.interrupt_wakes_thread(events);
        (false, is_known)
    });
    check_unless(is_seen);
    if handled && !is_known {
        TRACKER.with(Tracker::event_is_unseen);
    }
    report::tell();
}

/// Runs under a lock of the workqueue: nothing is told or queued here.
unsafe extern "C" fn queued(item: c_ulong) {
    handover::event_is_known();
    let Some(work) = work_at(item) else { return };
    let (task, copied) = (current_task(), request_of(work));
    TRACKER.with(|tracker| match copied {
        Some(copied) => tracker.work_is_queued(task, work, copied, logged),
        None => tracker.distrust(),
    });
}

unsafe extern "C" fn begins(item: c_ulong) {
    let Some(work) = work_at(item) else { return };
    let Some(request) = request_of(work) else { return };
    // SAFETY: The function may be called in any context.
    let now = unsafe { bindings::papr_uptime() };
    let (task, begin) = (current_task(), Begin { missed: Group::Steps.missed(), now });
    let begun = TRACKER.with(|tracker| {
        tracker.work_begins(task, work, request, begin);
        tracker.removal_of(task).is_some()
    });
    if begun {
        follow(task);
    }
    report::tell();
}

unsafe extern "C" fn ends(is_request: bool) {
    if is_request || is_followed() {
        follow_none();
        let (task, missed) = (current_task(), Group::Steps.missed());
        let is_seen = TRACKER.with(|tracker| {
            let is_seen = tracker.work_ends(task, missed);
            if is_request {
                tracker.request_ends();
            }
            is_seen
        });
        check_unless(is_seen);
        report::tell_and_write();
    } else if report::are_probes_off() && probes_fire() {
        TRACKER.with(|tracker| tracker.probes_fire(true));
        report::tell();
    }
}

/// Shows the tracker whether probes fire, unless it has just seen one. The canary takes longer than
/// a probe that fires anyway.
fn check_unless(is_seen: bool) {
    if !is_seen {
        let fire = probes_fire();
        TRACKER.with(|tracker| tracker.probes_fire(fire));
    }
}

unsafe extern "C" fn cpu_state(cpu: u32, reached: u32, state: u32, returned: c_int) {
    if returned < 0 {
        followed_anywhere(|removal| {
            removal.observations.cpu_state_fails(cpu, reached, state, returned);
        });
    }
}
