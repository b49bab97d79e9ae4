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

/// The state of [`Indicator::ALLOCATION_STATE`] in which a connector is not the guest's.
const UNUSABLE: u32 = 0;

/// Gives a connector back, if firmware calls it the guest's, as the kernel does. Returns whether it
/// was given back. Firmware that is busy is left alone.
pub fn give_back(rtas: &impl Rtas, connector: DrcIndex) -> bool {
    let set = |indicator, state| rtas.set_indicator(indicator, connector, state).is_success();
    let is_isolated = rtas.entity_sense(connector) == Ok(EntitySense::PRESENT)
        && set(Indicator::ISOLATION_STATE, IsolationState::ISOLATE.0);
    let is_given = is_isolated && set(Indicator::ALLOCATION_STATE, UNUSABLE);
    if is_isolated && !is_given {
        set(Indicator::ISOLATION_STATE, IsolationState::UNISOLATE.0);
    }
    is_given
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, vec, vec::Vec};

    struct Firmware {
        sense: EntitySense,
        answers: [i32; 2],
        calls: RefCell<Vec<(u32, u32)>>,
    }

    impl Rtas for Firmware {
        fn entity_sense(&self, _connector: DrcIndex) -> Result<EntitySense, Status> {
            Ok(self.sense)
        }

        fn set_indicator(&self, indicator: Indicator, _connector: DrcIndex, state: u32) -> Status {
            let mut calls = self.calls.borrow_mut();
            calls.push((indicator.0, state));
            Status(self.answers.get(calls.len() - 1).copied().unwrap_or_default())
        }
    }

    fn given_back(sense: EntitySense, answers: [i32; 2]) -> (bool, Vec<(u32, u32)>) {
        let firmware = Firmware { sense, answers, calls: RefCell::default() };
        (give_back(&firmware, DrcIndex(0x8000_0008)), firmware.calls.into_inner())
    }

    #[test]
    fn connector_is_isolated_and_unusable_or_as_it_was() {
        let (isolate, unusable, unisolate) = ((9001, 0), (9003, 0), (9001, 1));
        let present = EntitySense::PRESENT;
        assert_eq!(given_back(present, [0, 0]), (true, vec![isolate, unusable]));
        assert_eq!(given_back(present, [-1, 0]), (false, vec![isolate]));
        assert_eq!(given_back(present, [0, -2]), (false, vec![isolate, unusable, unisolate]));
        assert_eq!(given_back(EntitySense::UNUSABLE, [0, 0]), (false, vec![]));
    }
}
