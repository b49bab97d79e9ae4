// SPDX-License-Identifier: GPL-2.0-only

//! Probes on the functions that show why a resource stays. A kernel may lack any of them, and then
//! the reason is less exact.

use super::{
    followed::{followed_anywhere, Step},
    is_last_cpu,
    step::lmb_index,
    write_state,
};
use crate::{
    bindings,
    logic::{
        observations::{CpusLeft, ProbeSet},
        removal::Removal,
        tracker::Follow,
    },
    return_probe::{Call, Handlers, Observer, Registered},
};
use core::{
    ffi::{c_ulong, CStr},
    fmt,
};

/// Defines the probes. For each: the function (and its name in other kernels), what its entry and
/// what its return show of the removal that the current task makes.
macro_rules! observations {
    ($($observer:ident on $symbol:literal $(or $other:literal)? $(for $flag:ident)?,
        |$removal:ident, $call:pat_param| $enter:expr,
        |$left:pat_param, $returned:pat_param, $probes:pat_param| $leave:expr;)*) => {
        /// The observers, and what the silence of each means.
        static OBSERVERS: [(Handlers, ProbeSet); COUNT] = [
            $((Handlers::of::<$observer>(), ProbeSet::empty()$(.union(ProbeSet::$flag))?),)*
            (Handlers::of::<CpuDown>(), ProbeSet::CPU_DOWN),
        ];

        $(
            struct $observer;

            impl Step for $observer {
                const FUNCTION: &'static CStr = $symbol;
                $(const OTHER_FUNCTION: Option<&'static CStr> = Some($other);)?

                fn enter($removal: &mut Removal, $call: &Call<'_>) -> Follow {
                    $enter
                }

                fn leave($left: &mut Removal, $returned: i32, $probes: ProbeSet) {
                    $leave;
                }
            }
        )*
    };
}

/// The number of observers.
const COUNT: usize = 13;

observations! {
    Range on c"get_lmb_range" for LMB_RANGE,
        |_removal, _| Follow::Return,
        |removal, returned, _| removal.range_ends(returned);
    Restoring on c"dlpar_add_lmb",
        |removal, call| lmb_index(call).map_or(Follow::Nothing, |lmb| {
            removal.restoring_begins(lmb);
            Follow::Return
        }),
        |removal, returned, _| removal.restoring_ends(returned);
    Returning on c"dlpar_online_cpu",
        |_removal, _| Follow::Return,
        |removal, returned, _| removal.cpus_return(returned);
    Detaching on c"dlpar_detach_node",
        |_removal, _| Follow::Return,
        |removal, returned, _| if returned != 0 { removal.is_undetached() };
    Fadump on c"is_fadump_memory_area",
        |_removal, _| Follow::Return,
        |removal, returned, _| removal.observations.fadump_ends(returned != 0);
    Device on c"device_offline" for DEVICE,
        |removal, call| {
            match cpu_of(call.argument(0)) {
                Some(cpu) => removal.observations.cpu_begins(cpu),
                None => removal.observations.block_begins(),
            }
            Follow::Return
        },
        |removal, returned, probes| {
            removal.device_ends(returned, cpus_left(removal), probes);
        };
    Pages on c"offline_pages" for PAGES,
        |removal, _| {
            removal.observations.pages_begin();
            Follow::Return
        },
        |removal, returned, probes| removal.observations.pages_end(returned, probes);
    Isolation on c"start_isolate_page_range" for ISOLATION,
        |removal, _| {
            removal.observations.isolation_begins();
            Follow::Return
        },
        |removal, returned, _| removal.observations.isolation_ends(returned);
    PageNamed on c"dump_page",
        |removal, call| {
            // SAFETY: The kernel passes a page, of which only the address is used.
            let address = unsafe { bindings::papr_page_address(call.argument(0) as c_ulong) };
            removal.observations.page_named(address);
            Follow::Nothing
        },
        |_, _, _| ();
    Notifiers on c"memory_notify" for NOTIFIERS,
        |_removal, call| {
            // SAFETY: The function only compares.
            let going = unsafe { bindings::papr_memory_is_going(call.argument(0) as c_ulong) };
            Follow::if_true(going)
        },
        |removal, returned, _| removal.observations.notifiers_end(errno_of(returned));
    NodeNotifiers on c"node_notify",
        |_removal, call| {
            // SAFETY: The function only compares.
            let going = unsafe { bindings::papr_node_is_going(call.argument(0) as c_ulong) };
            Follow::if_true(going)
        },
        |removal, returned, _| if errno_of(returned) != 0 {
            removal.observations.notifiers_end(errno_of(returned));
        };
    HugePages on c"dissolve_free_hugetlb_folios" or c"dissolve_free_huge_pages",
        |_removal, _| Follow::Return,
        |removal, returned, _| removal.observations.huge_pages_end(returned);
}

/// The probes that this kernel allows, in the order of [`OBSERVERS`].
pub(super) struct ObservationProbes([Option<Registered>; COUNT]);

impl ObservationProbes {
    /// Registers the probes.
    pub(super) fn register() -> Self {
        let mut probes = [const { None }; COUNT];
        for (probe, (observer, _)) in probes.iter_mut().zip(&OBSERVERS) {
            *probe = observer.register().ok();
        }
        Self(probes)
    }

    /// Returns the probes whose silence means something.
    pub(super) fn set(&self) -> ProbeSet {
        let mut probes = ProbeSet::default();
        for (_, (_, set)) in self.0.iter().zip(&OBSERVERS).filter(|(probe, _)| probe.is_some()) {
            probes |= *set;
        }
        probes
    }

    /// Writes a line for each probe.
    pub(super) fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
        for (probe, (observer, _)) in self.0.iter().zip(&OBSERVERS) {
            write_state(to, observer.symbol(), probe.as_ref())?;
        }
        Ok(())
    }
}

/// Taking a CPU down, which kernels from 6.5 to 7.2 leave to a worker of their own.
struct CpuDown;

impl Observer for CpuDown {
    const SYMBOL: &'static CStr = c"_cpu_down";
    /// A compiler omits the second argument where all callers pass the same.
    const OTHER_SYMBOL: Option<&'static CStr> = Some(c"_cpu_down.constprop.0");

    /// `int _cpu_down(unsigned int cpu, ...)`
    fn enter(call: &Call<'_>) -> Follow {
        // CAST: An `unsigned int` is passed in the low half of the register.
        let cpu = call.argument(0) as u32;
        followed_anywhere(|removal| removal.observations.cpu_down_begins(cpu));
        Follow::Nothing
    }

    fn leave(_returned: i32, _kept: usize) {}
}

/// Returns the number of the CPU if this `struct device` is one.
fn cpu_of(device: usize) -> Option<u32> {
    let mut cpu = 0;
    // SAFETY: The kernel passes a device, and there is room for the number.
    unsafe { bindings::papr_device_is_cpu(device as c_ulong, &mut cpu) }.then_some(cpu)
}

/// Returns which CPUs remain without the one that is being taken offline.
fn cpus_left(removal: &Removal) -> CpusLeft {
    let cpu = removal.observations.cpu().unwrap_or(u32::MAX);
    // SAFETY: The function only reads the kernel's masks of CPUs.
    let no_housekeeping = unsafe { !bindings::papr_is_housekeeper_but(cpu) };
    CpusLeft { last_online: is_last_cpu(), no_housekeeping }
}

/// Returns the errno in the answer of a chain of notifiers.
fn errno_of(answer: i32) -> i32 {
    // SAFETY: The function only computes.
    unsafe { bindings::papr_notifier_errno(answer) }
}
