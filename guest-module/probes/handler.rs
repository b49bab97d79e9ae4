// SPDX-License-Identifier: GPL-2.0-only

//! Probes on the kernel's handlers of hot plug requests, one for each type of resource.
//!
//! Their return is the result of a removal: `handle_dlpar_errorlog` calls one of them and returns
//! what it returned, and a compiler may inline that function but not these, which are in other
//! files.

use super::{followed::Step, is_last_cpu, log_failure, name, write_line};
use crate::{
    bindings,
    entry::Error,
    logic::{observations::ProbeSet, removal::Removal},
    return_probe::{read, Call, Observer, Probe},
    wire::hotplug::Action,
    TRACKER,
};
use core::{ffi::CStr, fmt};

/// The probes.
pub(super) struct Handlers {
    memory: Probe<Memory>,
    cpu: Probe<Cpu>,
    /// Older kernels have no persistent memory.
    pmem: Option<Probe<Pmem>>,
}

impl Handlers {
    /// Registers the probes.
    pub(super) fn register() -> Result<Self, Error> {
        Ok(Self { memory: required()?, cpu: required()?, pmem: Probe::register().ok() })
    }

    /// Returns the probes whose silence means something.
    pub(super) fn set(&self) -> ProbeSet {
        self.pmem.as_ref().map_or(ProbeSet::default(), |_| ProbeSet::PMEM_HANDLER)
    }

    /// Writes a line for each probe.
    pub(super) fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
        write_line(to, Some(&self.memory))?;
        write_line(to, Some(&self.cpu))?;
        write_line(to, self.pmem.as_ref())
    }
}

/// The names of the probed functions.
impl fmt::Display for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", name::<Memory>(), name::<Cpu>())?;
        self.pmem.as_ref().map_or(Ok(()), |_| write!(f, ", {}", name::<Pmem>()))
    }
}

fn required<O: Observer>() -> Result<Probe<O>, Error> {
    Probe::register().inspect_err(|err| {
        log_failure(name::<O>(), err, "; without it no refusal can be seen");
    })
}

/// Defines an observer for each handler.
macro_rules! handlers {
    ($($observer:ident on $symbol:literal;)*) => {
        $(
            struct $observer;

            impl Step for $observer {
                const FUNCTION: &'static CStr = $symbol;

                fn leave(removal: &mut Removal, returned: i32, _probes: ProbeSet) {
                    removal.handler_ends(returned, is_last_cpu());
                }

                /// `int HANDLER(struct pseries_hp_errorlog *hp_elog)`
                fn enter_elsewhere(call: &Call<'_>) {
                    enter_elsewhere(call);
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

/// The offset of the action in `struct pseries_hp_errorlog`.
const ACTION: usize = 1;

fn enter_elsewhere(call: &Call<'_>) {
    // SAFETY: There is always a current task.
    if unsafe { !bindings::papr_current_is_worker() } {
        if let Some([action]) = read(call.argument(0).wrapping_add(ACTION)) {
            TRACKER.with(|tracker| tracker.administrator_begins(Action(action)));
        }
    }
}
