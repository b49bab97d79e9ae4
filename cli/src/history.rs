// SPDX-License-Identifier: MIT OR Apache-2.0

//! History of a VM, from which the cause of a deletion is inferred where QEMU does not say it.

use crate::{
    bridge::LOST,
    monitor::Monitor,
    outcome_kind::OutcomeKind,
    schema::{DELETED, EventData},
};
use papr_unplug_qmp::message::Event;

/// Events of a VM that bear on a deletion.
///
/// Stock QEMU sends the same `DEVICE_DELETED` for a release and for a device that a reset takes. For a CPU or a DIMM it
/// sends `RESET` afterwards, and before it answers another command; for a PCI device or a PHB it sends `RESET` before,
/// because the deletion waits for an RCU grace period. A release next to an unrelated reset looks the same.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// True if the guest may have run since the beginning.
    has_run: bool,
    /// True if the machine was reset.
    was_reset: bool,
    /// True if events may be missing, because the connection was lost.
    is_cut: bool,
}

impl History {
    /// Begins with a VM that runs or not.
    pub fn new(runs: bool) -> Self {
        Self { has_run: runs, ..Self::default() }
    }

    /// Notes an event.
    pub fn note(&mut self, event: &str) {
        self.has_run |= event == "RESUME";
        self.was_reset |= event == "RESET";
        self.is_cut |= event == LOST;
    }

    /// Returns the history as far as it bears on `event`: for a deletion, also the events that the VM had sent by then.
    pub fn up_to(&self, event: &Event, monitor: &mut Monitor) -> Self {
        let mut history = self.clone();
        let data = EventData::of(event.object().get("data"));
        if event.name() == DELETED && data.cause.is_none() && data.is_whole_device() {
            // An end of the connection, or of the wait, is told at the next one.
            history.is_cut |= monitor.catch_up().is_err();
            monitor.upcoming().for_each(|event| history.note(event));
        }
        history
    }

    /// Returns what is known of a deletion whose cause the VM does not say.
    pub fn deletion(&self) -> OutcomeKind {
        match (self.was_reset, self.has_run) {
            (true, false) => OutcomeKind::ClosedByReset,
            (false, true) if !self.is_cut => OutcomeKind::Released,
            _ => OutcomeKind::Deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deletion(runs: bool, events: &[&str]) -> OutcomeKind {
        let mut history = History::new(runs);
        events.iter().for_each(|event| history.note(event));
        history.deletion()
    }

    #[test]
    fn deletion_is_a_release_only_if_the_guest_ran_and_nothing_was_reset() {
        assert_eq!(deletion(true, &[]), OutcomeKind::Released);
        assert_eq!(deletion(false, &["RESUME"]), OutcomeKind::Released);
        assert_eq!(deletion(false, &[]), OutcomeKind::Deleted);
    }

    #[test]
    fn deletion_after_events_were_missed_is_no_release() {
        assert_eq!(deletion(true, &[LOST]), OutcomeKind::Deleted);
    }

    #[test]
    fn deletion_is_a_resets_only_if_the_guest_did_not_run() {
        assert_eq!(deletion(false, &["RESET"]), OutcomeKind::ClosedByReset);
        assert_eq!(deletion(true, &["RESET"]), OutcomeKind::Deleted);
        assert_eq!(deletion(false, &["RESET", "RESUME"]), OutcomeKind::Deleted);
    }
}
