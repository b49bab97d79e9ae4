// SPDX-License-Identifier: GPL-2.0-only

//! RTAS calls that the logic makes, as a trait.

use super::refusal::Delivery;
use crate::wire::{
    drc::DrcIndex,
    rtas::{EntitySense, Indicator, IsolationState, Status},
};

/// The RTAS calls.
pub trait Rtas {
    /// Calls `get-sensor-state` for dr-entity-sense once. The error is any status but 0.
    fn entity_sense(&self, connector: DrcIndex) -> Result<EntitySense, Status>;

    /// Calls `set-indicator` once. Returns at once also if firmware is busy.
    fn set_indicator(&self, indicator: Indicator, connector: DrcIndex, state: u32) -> Status;
}

/// Busy status of firmware: the same call is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy(pub Status);

/// Returns whether the guest does not hold a connector any more.
pub fn is_gone(rtas: &impl Rtas, connector: DrcIndex) -> Result<bool, Busy> {
    match rtas.entity_sense(connector) {
        Ok(sense) => Ok(sense != EntitySense::PRESENT),
        Err(busy) if busy.is_busy() => Err(Busy(busy)),
        Err(_) => Ok(false),
    }
}

/// Sends the hint that the removal of `connector` was refused: the null transition of level 0.
///
/// To unisolate a connector that the guest holds always succeeds (LoPAR, dynamic reconfiguration).
/// A hypervisor that knows the hint takes it for a refusal; for any other one nothing has happened.
/// On a connector that the guest does not hold it would be another transition, so nothing is sent
/// (PUE-G-052).
pub fn hint(rtas: &impl Rtas, connector: DrcIndex) -> Result<Delivery, Busy> {
    let (indicator, unisolate) = (Indicator::ISOLATION_STATE, IsolationState::UNISOLATE.0);
    match rtas.entity_sense(connector) {
        Ok(EntitySense::PRESENT) => match rtas.set_indicator(indicator, connector, unisolate) {
            busy if busy.is_busy() => Err(Busy(busy)),
            done if done.is_success() => Ok(Delivery::ByModule),
            other => Ok(Delivery::Failed(other)),
        },
        Ok(_) => Ok(Delivery::Absent),
        Err(busy) if busy.is_busy() => Err(Busy(busy)),
        Err(other) => Ok(Delivery::Failed(other)),
    }
}
