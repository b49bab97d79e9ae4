// SPDX-License-Identifier: GPL-2.0-only

//! How a request comes to the kernel, and how its work goes.

use super::{current_task, wake_if_unsettled};
use crate::{
    firmware::Firmware,
    log,
    logic::{arrivals::Queued, clues::Senses, event_log, watch::Follow},
    probe::{read, Call, Observer},
    shim,
    wire::hotplug::HotplugRequest,
    WATCH,
};
use core::ffi::{c_int, c_ulong, CStr};

/// The bytes of a hot plug section before what `queue_hotplug_event` is given.
const HEADER: usize = 8;

/// The kernel's memory.
struct Kernel;

impl event_log::Memory for Kernel {
    fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        read(address)
    }
}

/// The kernel takes an event, in an interrupt, under a lock.
pub(super) struct Event;

impl Observer for Event {
    const SYMBOL: &'static CStr = c"queue_hotplug_event";

    /// `void queue_hotplug_event(struct pseries_hp_errorlog *hp_errlog)`
    fn enter(call: &Call<'_>) -> Follow {
        let address = call.argument(0);
        let Some(asked) = call.read(address) else { return Follow::Nothing };
        let token = event_log::token(address.wrapping_sub(HEADER), &Kernel);
        let asked = HotplugRequest::from(asked);
        let follow = WATCH.event_begins(current_task(), &asked, token, call.missed(), &Firmware);
        wake_if_unsettled();
        follow
    }

    fn leave(_returned: i32) {
        WATCH.event_ends(current_task(), &Firmware);
        wake_if_unsettled();
    }
}

/// The tracepoints, attached for as long as this lives.
pub(super) struct Traces {
    cpu_states: bool,
}

static HANDLERS: shim::Traces = shim::Traces { queued, done, cpu_state };

impl Traces {
    /// Attaches to them. Without them requests are followed no further than level 0 needs.
    pub(super) fn attach() -> Option<Self> {
        let mut cpu_states = false;
        // SAFETY: The handlers may be called for ever, and there is room for the answer.
        let attached = unsafe { shim::papr_traces_attach(&HANDLERS, &mut cpu_states) };
        if attached != 0 {
            log::notice(format_args!("this kernel's workqueues cannot be traced: no answer can be promised"));
        }
        (attached == 0).then_some(Self { cpu_states })
    }

    /// What can be seen through them.
    pub(super) fn senses(&self) -> Senses {
        if self.cpu_states {
            Senses::CPU_STATES
        } else {
            Senses::default()
        }
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // SAFETY: They were attached.
        unsafe { shim::papr_traces_detach() };
    }
}

unsafe extern "C" fn queued(work: c_ulong) {
    let work = work as usize;
    WATCH.work_begins(current_task(), || {
        // SAFETY: It only returns a constant.
        let place = work.wrapping_add(unsafe { shim::papr_work_request() });
        let copy = usize::from_ne_bytes(read(place)?);
        Some((Queued { work, copy }, HotplugRequest::from(read(copy)?)))
    });
}

unsafe extern "C" fn done(work: c_ulong) {
    if WATCH.work_ends(current_task(), work as usize, &Firmware) {
        wake_if_unsettled();
    }
}

unsafe extern "C" fn cpu_state(cpu: u32, reached: u32, state: u32, returned: c_int) {
    WATCH.cpu_state_ends(cpu, reached, state, returned);
}
