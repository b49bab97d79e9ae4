// SPDX-License-Identifier: GPL-2.0-only

//! The way to the hypervisor, as this directory sees it.

use crate::wire::{
    drc::DrcIndex,
    rtas::{Indicator, IsolationState, Status},
};

/// Makes RTAS calls.
pub trait Rtas {
    /// Calls `set-indicator` once and returns at once, also when firmware is busy.
    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status;

    /// Sleeps for as long as firmware asked with a busy status. Not to be called from a probe.
    fn pause(&self, busy: Status);
}

/// Tells the hypervisor that the removal of `connector` was refused: the null transition of level 0.
///
/// Unisolating a connector that is unisolated always succeeds (LoPAR, dynamic reconfiguration). A hypervisor that knows
/// the hint takes it for the refusal; for any other nothing has happened.
pub fn signal(rtas: &impl Rtas, connector: DrcIndex) -> Status {
    rtas.set_indicator(Indicator::ISOLATION_STATE, connector, IsolationState::UNISOLATE.0)
}

/// The same, again and again until firmware is not busy. Sleeps.
pub fn signal_patiently(rtas: &impl Rtas, connector: DrcIndex) -> Status {
    let mut status = signal(rtas, connector);
    while status.is_busy() {
        rtas.pause(status);
        status = signal(rtas, connector);
    }
    status
}
