// SPDX-License-Identifier: GPL-2.0-only

//! The functions that give away why something stays. A kernel may lack any of them: a reason less is seen then.

use super::{current_task, request::is_last_cpu, step::lmb_index, write_line};
use crate::{
    logic::{
        attempt::Attempt,
        clues::{CpusLeft, Senses},
        watch::Follow,
    },
    probe::{Call, Observer, Probe},
    shim, WATCH,
};
use core::{
    ffi::{c_ulong, CStr},
    fmt,
};

/// A function (and its other name in some kernels), what its entry says of the attempt, and what its return does. The entry is
/// of no interest in other tasks.
macro_rules! clues {
    ($($field:ident: $observer:ident on $symbol:literal $(or $other:literal)? $(for $sense:ident)?,
        |$attempt:ident, $call:pat_param| $enter:expr, |$left:pat_param, $returned:pat_param| $leave:expr;)*) => {
        /// The probes that there are.
        pub(super) struct Clues {
            $($field: Option<Probe<$observer>>,)*
        }

        impl Clues {
            /// Puts them in place, as far as the kernel lets them.
            pub(super) fn post() -> Self {
                Self { $($field: Probe::register().ok(),)* }
            }

            /// Those of them whose silence says something.
            pub(super) fn senses(&self) -> Senses {
                #[allow(unused_mut, reason = "not every probe has a sense")]
                let mut senses = 0;
                $($(if self.$field.is_some() { senses |= Senses::$sense.0; })?)*
                Senses(senses)
            }

            /// Writes a line for each.
            pub(super) fn write(&self, to: &mut dyn fmt::Write) -> fmt::Result {
                $(write_line(to, self.$field.as_ref())?;)*
                Ok(())
            }
        }

        $(
            struct $observer;

            impl Observer for $observer {
                const SYMBOL: &'static CStr = $symbol;
                $(const OTHER_SYMBOL: Option<&'static CStr> = Some($other);)?

                fn enter(call: &Call<'_>) -> Follow {
                    let Some($attempt) = WATCH.followed(current_task()) else { return Follow::Nothing };
                    let $call = call;
                    $enter
                }

                fn leave(returned: i32) {
                    if let Some(attempt) = WATCH.followed(current_task()) {
                        let ($left, $returned) = (attempt, returned);
                        $leave;
                    }
                }
            }
        )*
    };
}

clues! {
    range: Range on c"get_lmb_range" for LMB_RANGE,
        |_attempt, _| Follow::Return,
        |attempt, returned| attempt.range_ends(returned);
    restoring: Restoring on c"dlpar_add_lmb",
        |attempt, call| lmb_index(call).map_or(Follow::Nothing, |lmb| {
            attempt.restoring_begins(lmb);
            Follow::Return
        }),
        |attempt, returned| attempt.restoring_ends(returned);
    returning: Returning on c"dlpar_online_cpu",
        |_attempt, _| Follow::Return,
        |attempt, returned| attempt.cpus_return(returned);
    detaching: Detaching on c"dlpar_detach_node",
        |_attempt, _| Follow::Return,
        |attempt, returned| if returned != 0 { attempt.is_undetached() };
    fadump: Fadump on c"is_fadump_memory_area",
        |_attempt, _| Follow::Return,
        |attempt, returned| attempt.clues.fadump_ends(returned != 0);
    device: Device on c"device_offline" for DEVICE,
        |attempt, call| {
            match cpu_of(call.argument(0)) {
                Some(cpu) => attempt.clues.cpu_begins(cpu),
                None => attempt.clues.block_begins(),
            }
            Follow::Return
        },
        |attempt, returned| {
            let is_cpu = attempt.clues.is_about_a_cpu();
            attempt.device_ends(is_cpu, returned, cpus_left_without(attempt), WATCH.senses());
        };
    pages: Pages on c"offline_pages" for PAGES,
        |attempt, _| {
            attempt.clues.pages_begin();
            Follow::Return
        },
        |attempt, returned| attempt.clues.pages_end(returned, WATCH.senses());
    isolation: Isolation on c"start_isolate_page_range" for ISOLATION,
        |attempt, _| {
            attempt.clues.isolation_begins();
            Follow::Return
        },
        |attempt, returned| attempt.clues.isolation_ends(returned);
    page: PageNamed on c"dump_page",
        |attempt, call| {
            // SAFETY: The kernel passes a page, whose address is all that is looked at.
            attempt.clues.page_named(unsafe { shim::papr_page_address(call.argument(0) as c_ulong) });
            Follow::Nothing
        },
        |_, _| ();
    notifiers: Notifiers on c"memory_notify" for NOTIFIERS,
        // SAFETY: It only compares.
        |_attempt, call| Follow::if_true(unsafe { shim::papr_memory_is_going(call.argument(0) as c_ulong) }),
        |attempt, returned| notified(attempt, returned);
    node_notifiers: NodeNotifiers on c"node_notify",
        // SAFETY: It only compares.
        |_attempt, call| Follow::if_true(unsafe { shim::papr_node_is_going(call.argument(0) as c_ulong) }),
        |attempt, returned| if errno_of(returned) != 0 { notified(attempt, returned) };
    huge_pages: HugePages on c"dissolve_free_hugetlb_folios" or c"dissolve_free_huge_pages",
        |_attempt, _| Follow::Return,
        |attempt, returned| attempt.clues.huge_pages_end(returned);
    // Where the compiler sees that all callers pass the same second argument, it leaves that one out.
    cpu_down: CpuDown on c"_cpu_down" or c"_cpu_down.constprop.0" for CPU_DOWN,
        |attempt, call| {
            // CAST: An `unsigned int` is passed in the low half of the register.
            attempt.clues.cpu_down_begins(call.argument(0) as u32);
            Follow::Nothing
        },
        |_, _| ();
}

/// The number of the CPU that this `struct device` is, if it is one.
fn cpu_of(device: usize) -> Option<u32> {
    let mut cpu = 0;
    // SAFETY: The kernel passes a device, and there is room for the number.
    unsafe { shim::papr_device_is_cpu(device as c_ulong, &mut cpu) }.then_some(cpu)
}

/// How many CPUs are left if the one goes that the attempt is about, if it is about one.
fn cpus_left_without(attempt: &Attempt) -> CpusLeft {
    // SAFETY: It only looks at the kernel's masks of CPUs.
    let no_housekeeping = unsafe { !shim::papr_is_housekeeper_but(attempt.clues.cpu()) };
    CpusLeft { last_online: is_last_cpu(), no_housekeeping }
}

fn notified(attempt: &Attempt, answer: i32) {
    attempt.clues.notifiers_end(errno_of(answer));
}

/// What the answer of a chain of notifiers says.
fn errno_of(answer: i32) -> i32 {
    // SAFETY: It only computes.
    unsafe { shim::papr_notifier_errno(answer) }
}
