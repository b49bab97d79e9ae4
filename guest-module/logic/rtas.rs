// SPDX-License-Identifier: GPL-2.0-only

//! The way to the hypervisor, as this directory sees it.

use super::refusal::Told;
use crate::wire::{
    drc::DrcIndex,
    rtas::{EntitySense, Indicator, IsolationState, Status},
};

/// Makes RTAS calls.
pub trait Rtas {
    /// Calls `get-sensor-state` for dr-entity-sense once; the error is any status but 0.
    fn entity_sense(&self, connector: DrcIndex) -> Result<EntitySense, Status>;

    /// Calls `set-indicator` once and returns at once, also when firmware is busy.
    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status;

    /// Sleeps for as long as firmware asked with a busy status. Not to be called from a probe.
    fn pause(&self, busy: Status);
}

/// Firmware was busy, with this status; the call is to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy(pub Status);

/// Tells the hypervisor that the removal of `connector` was refused: the null transition of level 0.
///
/// Unisolating a connector that is the guest's already always succeeds (LoPAR, dynamic reconfiguration). A hypervisor
/// that knows the hint takes it for the refusal; for any other nothing has happened. On a connector that is not the
/// guest's it would be a transition of another kind, so nothing is sent (PUE-G-052).
pub fn signal(rtas: &impl Rtas, connector: DrcIndex) -> Result<Told, Busy> {
    match rtas.entity_sense(connector) {
        Ok(EntitySense::PRESENT) => {
            heard(rtas.set_indicator(Indicator::ISOLATION_STATE, connector, IsolationState::UNISOLATE.0))
        }
        Ok(_) => Ok(Told::Absent),
        Err(status) if status.is_busy() => Err(Busy(status)),
        Err(status) => Ok(Told::Failed(status)),
    }
}

/// The same, again and again until firmware is not busy. Sleeps.
pub fn signal_patiently(rtas: &impl Rtas, connector: DrcIndex) -> Told {
    loop {
        match signal(rtas, connector) {
            Ok(told) => return told,
            Err(Busy(status)) => rtas.pause(status),
        }
    }
}

fn heard(status: Status) -> Result<Told, Busy> {
    match status {
        done if done.is_success() => Ok(Told::ByModule),
        busy if busy.is_busy() => Err(Busy(busy)),
        other => Ok(Told::Failed(other)),
    }
}
