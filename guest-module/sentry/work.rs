// SPDX-License-Identifier: GPL-2.0-only

//! A whole request of the hypervisor's on kernels that have no `handle_dlpar_errorlog`, because they made it a part of its
//! callers: how the kernel's worker goes through it, and what the function returned that did what was asked.
//!
//! What the guest's own administrator asks for does not pass here, so it is not counted. It needs no more than that.

use super::{current_task, event::request_of, name, request, wake_if_unsettled, write_line};
use crate::{
    errno::Errno,
    log,
    logic::{
        arrivals,
        watch::{Follow, Origin},
    },
    probe::{Call, Observer, Probe},
    WATCH,
};
use core::{ffi::CStr, fmt};

/// The probes for that.
pub(super) struct Work {
    // The request comes last into force and goes first.
    whole: Probe<Whole>,
    memory: Probe<Memory>,
    cpu: Probe<Cpu>,
    /// Older kernels know no persistent memory.
    pmem: Option<Probe<Pmem>>,
}

impl Work {
    /// Puts them in place.
    pub(super) fn post() -> Result<Self, Errno> {
        let memory = required()?;
        let cpu = required()?;
        let pmem = Probe::register().ok();
        Ok(Self { whole: required()?, memory, cpu, pmem })
    }

    /// Writes a line for each.
    pub(super) fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
        write_line(to, Some(&self.whole))?;
        write_line(to, Some(&self.memory))?;
        write_line(to, Some(&self.cpu))?;
        write_line(to, self.pmem.as_ref())
    }
}

/// The names of the functions that are probed.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", name::<Whole>(), name::<Memory>(), name::<Cpu>())?;
        self.pmem.as_ref().map_or(Ok(()), |_| write!(f, ", {}", name::<Pmem>()))
    }
}

fn required<O: Observer>() -> Result<Probe<O>, Errno> {
    Probe::register().inspect_err(|err| {
        log::error(format_args!("cannot probe {}: {err}; without it no refusal can be seen", name::<O>()));
    })
}

/// From the worker's first look at the request to its last.
struct Whole;

impl Observer for Whole {
    const SYMBOL: &'static CStr = c"pseries_hp_work_fn";

    /// `static void pseries_hp_work_fn(struct work_struct *work)`
    fn enter(call: &Call<'_>) -> Follow {
        let Some(asked) = request_of(arrivals::Work(call.argument(0))) else { return Follow::Nothing };
        let follow = request::begins(Origin::Hypervisor, &asked, call.missed());
        wake_if_unsettled();
        follow
    }

    /// It returns nothing.
    fn leave(_returned: i32) {
        if let Some(attempt) = WATCH.followed(current_task()) {
            request::ends(attempt.returned());
        }
        wake_if_unsettled();
    }
}

/// A function that does what is asked for one kind of resource.
macro_rules! handlers {
    ($($observer:ident on $symbol:literal;)*) => {
        $(
            struct $observer;

            impl Observer for $observer {
                const SYMBOL: &'static CStr = $symbol;

                /// `int FUNCTION(struct pseries_hp_errorlog *hp_elog)`
                fn enter(_call: &Call<'_>) -> Follow {
                    Follow::if_true(WATCH.followed(current_task()).is_some())
                }

                fn leave(returned: i32) {
                    if let Some(attempt) = WATCH.followed(current_task()) {
                        attempt.handler_ends(returned);
                    }
                }
            }
        )*
    };
}

handlers! {
    Memory on c"dlpar_memory";
    Cpu on c"dlpar_cpu";
    Pmem on c"dlpar_hp_pmem";
}
