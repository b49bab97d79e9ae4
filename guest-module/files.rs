// SPDX-License-Identifier: GPL-2.0-only

//! Files of the module under `/sys/kernel/debug/papr_unplug`. What a file shows is copied under the
//! lock, piece by piece, and written after that.

use crate::{
    bindings,
    logic::handover::{self, Handed},
    PROBES, TRACKER,
};
use core::{
    ffi::CStr,
    fmt::{Result, Write},
};

/// The directory.
pub(crate) const DIRECTORY: &CStr = c"papr_unplug";
/// The file of [`promise`].
pub(crate) const PROMISE: &CStr = c"promise";
/// The file of [`counters`].
pub(crate) const COUNTERS: &CStr = c"counters";
/// The file of [`refusals`].
pub(crate) const REFUSALS: &CStr = c"refusals";
/// The file of [`removal`].
pub(crate) const REMOVAL: &CStr = c"removal";
/// The file of [`handover`].
pub(crate) const HANDOVER: &CStr = c"handover";
/// The file of [`probes`].
pub(crate) const PROBES_FILE: &CStr = c"probes";

/// Writes one line: what the hypervisor offers, and what is armed.
pub(crate) fn promise(to: &mut dyn Write) -> Result {
    let arming = TRACKER.with(|tracker| tracker.arming);
    writeln!(to, "{arming}")
}

/// Writes a line for each counter: its name, a blank, its value.
pub(crate) fn counters(to: &mut dyn Write) -> Result {
    let counters = TRACKER.with(|tracker| tracker.counters);
    write!(to, "{counters}")
}

/// Writes a line for each of the last refusals, oldest first, of `name=value` members with `seq`
/// first.
pub(crate) fn refusals(mut to: &mut dyn Write) -> Result {
    let (oldest, newest) =
        TRACKER.with(|tracker| (tracker.history.oldest(), tracker.history.newest()));
    for number in oldest..=newest {
        if let Some(refusal) = TRACKER.with(|tracker| tracker.history.get(number).copied()) {
            write!(to, "seq={number} ")?;
            refusal.write_members(&mut to)?;
            to.write_char('\n')?;
        }
    }
    Ok(())
}

/// Writes one line: the removal that runs, as `name=value` members, or `none`.
pub(crate) fn removal(to: &mut dyn Write) -> Result {
    // SAFETY: The function may be called in any task.
    let now = unsafe { bindings::papr_uptime() };
    match TRACKER.with(|tracker| tracker.removal_state(now)) {
        Some(state) => writeln!(to, "{state}"),
        None => to.write_str("none\n"),
    }
}

/// Writes a line for each request that user space has, as `name=value` members.
pub(crate) fn handover(to: &mut dyn Write) -> Result {
    for nth in 0..handover::CAPACITY {
        let handed = TRACKER.with(|tracker| tracker.handover.get(nth).copied());
        if let Some(handed) = handed.filter(Handed::is_unanswered) {
            writeln!(to, "{handed}")?;
        }
    }
    Ok(())
}

/// Writes a line for each probe: the function, then `active missed=N` or `absent`.
pub(crate) fn probes(to: &mut dyn Write) -> Result {
    // SAFETY: The probes exist from before the files are created until they are removed.
    unsafe { PROBES.get() }.map_or(Ok(()), |probes| probes.write(to))
}
