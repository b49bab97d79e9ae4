// SPDX-License-Identifier: GPL-2.0-only

//! Probes by which user space is followed: the log of events that the kernel leaves to it, and the
//! processes that read the log.

use super::{all_probes_fire, log_absent, log_failure, name, write_line};
use crate::{
    bindings,
    entry::{Error, ENOENT},
    logic::{
        counters::count,
        event_log::{self, ForUserSpace},
        handover::{Obstacle, Process},
        tracker::{Follow, Tracker},
    },
    return_probe::{read, Call, Group, Observer, Probe},
    worker, TRACKER,
};
use core::{
    ffi::{c_ulong, CStr},
    fmt,
    mem::MaybeUninit,
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
};

/// `ENODATA` and `EFAULT`, as `rtas_log_read` returns them: the log has nothing and takes nothing,
/// or an event was lost.
const LOG_IS_OVER: i32 = -61;
const EVENT_IS_LOST: i32 = -14;

/// The number of events that the kernel's log has had.
static LOGGED: AtomicU32 = AtomicU32::new(0);
/// True if a probe or a work item has shown an event, since the last interrupt for hot plug events
/// has ended.
static IS_KNOWN: AtomicBool = AtomicBool::new(false);
/// The address of the last event.
static LAST_LOG: AtomicUsize = AtomicUsize::new(0);
/// True if the starts and ends of processes matter. Each of them looks here first, without the
/// lock.
static FOLLOWS: AtomicBool = AtomicBool::new(false);

/// The probes, in force while this exists.
pub(super) struct HandoverProbes {
    logged: Probe<Logged>,
    read: Probe<Read>,
    closed: Probe<Closed>,
    /// User space writes to one of these to have the kernel change its device tree.
    changed: (Option<Probe<Dlpar>>, Option<Probe<Ofdt>>),
}

impl HandoverProbes {
    /// Registers the probes. Returns `None` if the kernel lacks what they need.
    pub(super) fn register(has_processes: bool) -> Result<Option<Self>, Error> {
        let changed = (Probe::register().ok(), Probe::register().ok());
        let register = || {
            // No event is logged before it would be seen that it is read.
            let (closed, read) = (required()?, required()?);
            Ok(Self { logged: required()?, read, closed, changed })
        };
        match register() {
            Err(err) if err == ENOENT => Ok(None),
            Ok(_) if !has_processes => {
                log_absent("sched_process_exit", WITHOUT);
                Ok(None)
            }
            registered => registered.map(Some),
        }
    }

    /// Writes a line for each probe.
    pub(super) fn write(probes: Option<&Self>, to: &mut dyn fmt::Write) -> fmt::Result {
        write_line(to, probes.map(|probes| &probes.logged))?;
        write_line(to, probes.map(|probes| &probes.read))?;
        write_line(to, probes.map(|probes| &probes.closed))?;
        write_line(to, probes.and_then(|probes| probes.changed.0.as_ref()))?;
        write_line(to, probes.and_then(|probes| probes.changed.1.as_ref()))
    }
}

/// The consequence for a kernel that lacks one of the functions.
const WITHOUT: &str = "removals that are left to user space are not followed";

fn required<O: Observer>() -> Result<Probe<O>, Error> {
    Probe::register().inspect_err(|err| {
        if *err == ENOENT {
            log_absent(name::<O>(), WITHOUT);
        } else {
            log_failure(name::<O>(), err, "");
        }
    })
}

/// Has the tracker take an input, and wakes the worker if that leads to anything. Not generic, so
/// that the module has it once. Returns what the input does.
#[inline(never)]
fn takes(input: &mut dyn FnMut(&mut Tracker) -> bool) -> bool {
    let (result, is_unsettled) = TRACKER.with(|tracker| {
        let result = input(tracker);
        FOLLOWS.store(tracker.handover.follows_processes(), Relaxed);
        (result, tracker.is_user_space_unsettled())
    });
    if is_unsettled {
        // SAFETY: Only probes call this, which are in force while the worker exists.
        unsafe { worker::wake() };
    }
    result
}

/// Has the tracker take an input that returns nothing.
fn take(mut input: impl FnMut(&mut Tracker)) {
    takes(&mut |tracker| {
        input(tracker);
        false
    });
}

/// Has each process that reads the log read it again, which is seen. Probes are in force.
pub(super) fn wake_readers() {
    unsafe extern "C" fn asleep(process: u32) {
        TRACKER.with(|tracker| tracker.handover.sleeps(Process(process)));
    }
    FOLLOWS.store(true, Relaxed);
    // SAFETY: The function is static.
    unsafe { bindings::papr_event_log_wake(asleep) };
    take(|tracker| tracker.handover.all_are_woken());
}

/// Finds out what matters of user space: whether its reading is seen, and whether a process has the
/// log open. Not for probes.
pub(crate) fn look() {
    let missed = Group::Reads.missed();
    let is_check_due = TRACKER.with(|tracker| {
        tracker.reading_is_missed(missed);
        tracker.take_check()
    });
    if is_check_due {
        let fire = all_probes_fire();
        let is_waking_due = TRACKER.with(|tracker| {
            tracker.probes_fire(fire);
            tracker.begin_waking()
        });
        if is_waking_due {
            wake_readers();
        }
    }
    let due = TRACKER.with(|tracker| tracker.handover.take_look());
    let Some(logged) = due else { return };
    // SAFETY: The function may be called in any task.
    if unsafe { !bindings::papr_event_log_is_open() } {
        TRACKER.with(|tracker| tracker.handover.nobody_reads(logged));
    }
}

/// Looks whether an event was logged unseen in an interrupt that has ended. `missed` is the number
/// of additions to the log that no probe has seen. Returns whether it is known what the interrupt
/// has brought.
pub(super) fn interrupt_ends(tracker: &mut Tracker, missed: u64) -> bool {
    let is_known = IS_KNOWN.swap(false, Relaxed);
    let logged = LOGGED.load(Relaxed).wrapping_add(1);
    let is_missed = tracker.log_is_missed(missed, logged, || at(LAST_LOG.load(Relaxed)));
    if is_missed {
        LOGGED.store(logged, Relaxed);
        FOLLOWS.store(tracker.handover.follows_processes(), Relaxed);
    }
    is_known || is_missed
}

/// Stores that a probe or a work item shows an event. Does nothing outside of interrupts.
pub(super) fn event_is_known() {
    // SAFETY: The function may be called in any context.
    if unsafe { bindings::papr_in_interrupt() } {
        IS_KNOWN.store(true, Relaxed);
    }
}

/// Returns what the event at this address asks of user space.
fn at(address: usize) -> ForUserSpace {
    read(address).map_or(ForUserSpace::Strange, |log| event_log::for_user_space(&log))
}

fn current() -> Process {
    // SAFETY: There is always a current task.
    Process(unsafe { bindings::papr_process() })
}

/// Adding an event to the kernel's log, in an interrupt or under a lock.
struct Logged;

impl Observer for Logged {
    const SYMBOL: &'static CStr = c"pSeries_log_error";
    const GROUP: Group = Group::Logs;

    /// `void pSeries_log_error(char *buf, unsigned int err_type, int fatal)`
    fn enter(call: &Call<'_>) -> Follow {
        // CAST: An `unsigned int` is passed in the low half of the register.
        if !event_log::is_new(call.argument(1) as u32) {
            return Follow::Nothing;
        }
        event_is_known();
        let count = || LOGGED.fetch_add(1, Relaxed).wrapping_add(1);
        // SAFETY: The function may be called in any context.
        if unsafe { bindings::papr_is_locked_here() } {
            // An RTAS call of the module has failed.
            count();
            return Follow::Nothing;
        }
        // CAST: An `int` is passed in the low half of the register.
        if call.argument(2) as i32 != 0 {
            count();
            take(Tracker::log_is_over);
            return Follow::Nothing;
        }
        let address = call.argument(0);
        LAST_LOG.store(address, Relaxed);
        let event = at(address);
        // Events on several CPUs are counted in the order in which the tracker hears of them.
        take(|tracker| tracker.event_is_logged(count(), &event));
        Follow::Nothing
    }

    fn leave(_returned: i32, _kept: usize) {}
}

/// Reading an event, which may take long.
struct Read;

impl Observer for Read {
    const SYMBOL: &'static CStr = c"rtas_log_read";
    const GROUP: Group = Group::Reads;

    /// `ssize_t rtas_log_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)`
    fn enter(call: &Call<'_>) -> Follow {
        call.keep(call.argument(1));
        take(|tracker| tracker.handover.reads(current()));
        Follow::Return
    }

    fn leave(returned: i32, buffer: usize) {
        match returned {
            1.. => has_read(buffer),
            LOG_IS_OVER => take(Tracker::log_is_over),
            EVENT_IS_LOST => take(Tracker::lose_sight_of_user_space),
            _ => {}
        }
    }
}

/// The size of what precedes the event in a reader's buffer: its number.
const NUMBER: usize = 4;

/// Handles the event that the current process has read into its buffer.
fn has_read(buffer: usize) {
    let address = buffer.wrapping_add(NUMBER);
    let event =
        read_user(address).map_or(ForUserSpace::Strange, |log| event_log::for_user_space(&log));
    let ForUserSpace::Removal(logged) = event else {
        if event == ForUserSpace::Strange {
            take(Tracker::lose_sight_of_user_space);
        }
        return;
    };
    let is_void = &mut |tracker: &mut Tracker| {
        tracker.event_is_read(current(), &logged.request, logged.token)
    };
    if takes(is_void) {
        let action = address.wrapping_add(logged.action()) as c_ulong;
        // SAFETY: The function may be given any address to write.
        if unsafe { bindings::papr_write_user(action, 0) } {
            TRACKER.with(|tracker| count(&mut tracker.counters.voided));
        }
    }
}

/// Reads bytes of the current process. Returns `None` if they cannot be read at once.
fn read_user<const N: usize>(address: usize) -> Option<[u8; N]> {
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    let (to, from) = (bytes.as_mut_ptr().cast(), address as c_ulong);
    // SAFETY: `bytes` has room for `N` bytes, and the function may be given any address to read.
    let read = unsafe { bindings::papr_read_user(to, from, N) };
    // SAFETY: All `N` bytes were written.
    read.then(|| unsafe { bytes.assume_init() })
}

/// Closing the log.
struct Closed;

impl Observer for Closed {
    const SYMBOL: &'static CStr = c"rtas_log_release";
    const GROUP: Group = Group::Reads;

    /// `int rtas_log_release(struct inode *inode, struct file *file)`
    fn enter(_call: &Call<'_>) -> Follow {
        take(|tracker| tracker.handover.closes());
        Follow::Nothing
    }

    fn leave(_returned: i32, _kept: usize) {}
}

/// Defines an observer for each file to which user space writes a change of the device tree. Each
/// returns the number of bytes, or a negative errno.
macro_rules! changes {
    ($($observer:ident on $symbol:literal;)*) => {
        $(
            struct $observer;

            impl Observer for $observer {
                const SYMBOL: &'static CStr = $symbol;
                const GROUP: Group = Group::Changes;

                fn enter(_call: &Call<'_>) -> Follow {
                    Follow::if_true(FOLLOWS.load(Relaxed))
                }

                fn leave(returned: i32, _kept: usize) {
                    change_ends(returned);
                }
            }
        )*
    };
}

changes! {
    Dlpar on c"dlpar_store";
    Ofdt on c"ofdt_write";
}

#[inline(never)]
fn change_ends(returned: i32) {
    if returned < 0 {
        meets(Obstacle::Undetached(returned));
    }
}

fn meets(obstacle: Obstacle) {
    TRACKER.with(|tracker| tracker.handover.meets(current(), obstacle));
}

/// The current process has found that another one has locked a file.
pub(super) unsafe extern "C" fn finds_locked() {
    if FOLLOWS.load(Relaxed) {
        meets(Obstacle::Locked);
    }
}

/// A process has started another one.
pub(super) unsafe extern "C" fn forks(parent: u32, child: u32) {
    if FOLLOWS.load(Relaxed) {
        take(|tracker| tracker.handover.forks(Process(parent), Process(child)));
    }
}

/// A process exits.
pub(super) unsafe extern "C" fn exits(process: u32, status: u32) {
    if FOLLOWS.load(Relaxed) {
        take(|tracker| tracker.handover.exits(Process(process), status));
    }
}
