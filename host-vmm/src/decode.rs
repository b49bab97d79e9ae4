// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the words of an RTAS call mean: `set-indicator` and `get-sensor-state` (LoPAR, chapter "RTAS").
//!
//! The words come from the guest. Nothing here looks at a connector, and nothing fails but with the status that the guest
//! is to be given.

use crate::{
    drc::Input,
    wire::{
        drc::DrcIndex,
        report::{Report, Word},
        rtas::{EntitySense, Indicator, Status},
    },
};

/// The number of `set-indicator`'s input words: indicator, index, state.
pub const SET_INDICATOR_INPUTS: usize = 3;

/// What a `set-indicator` call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A transition of one connector (indicators 9001 and 9003).
    Transition(DrcIndex, Input),
    /// The visual indicator of a physical connector is set (9002); nothing depends on it.
    DrIndicator(DrcIndex),
    /// The guest reports about removal requests.
    Report(DrcIndex, Report),
}

/// Reads the input words of a `set-indicator` call, as 32-bit numbers of the VMM's byte order.
///
/// `reports_on` is the indicator that this guest was offered for reports, if any. `Err` is the status to return: -3 for an
/// indicator or a state that does not exist, -9005 for a report word that means nothing (PUE-V-003, PUE-V-012).
pub fn set_indicator(words: [u32; SET_INDICATOR_INPUTS], reports_on: Option<Indicator>) -> Result<Call, Status> {
    let [indicator, index, state] = words;
    let (indicator, index) = (Indicator(indicator), DrcIndex(index));
    match (indicator, state) {
        (Indicator::ISOLATION_STATE, 0) => Ok(Call::Transition(index, Input::Isolate)),
        (Indicator::ISOLATION_STATE, 1) => Ok(Call::Transition(index, Input::Unisolate)),
        (Indicator::ALLOCATION_STATE, 0) => Ok(Call::Transition(index, Input::Unusable)),
        (Indicator::ALLOCATION_STATE, 1) => Ok(Call::Transition(index, Input::Usable)),
        // Inactive, active, identify, action.
        (DR_INDICATOR, 0..=3) => Ok(Call::DrIndicator(index)),
        (indicator, word) if Some(indicator) == reports_on => {
            Word(word).report().map(|report| Call::Report(index, report)).ok_or(Status::MALFORMED)
        }
        _ => Err(Status::NO_SUCH_INDICATOR),
    }
}

/// Reads the input words of a `get-sensor-state` call: the connector whose dr-entity-sense (9003) is asked for, or the
/// status -3 for any other sensor.
pub fn get_sensor_state(words: [u32; 2]) -> Result<DrcIndex, Status> {
    let [sensor, index] = words;
    if sensor == EntitySense::SENSOR { Ok(DrcIndex(index)) } else { Err(Status::NO_SUCH_INDICATOR) }
}

const DR_INDICATOR: Indicator = Indicator(9002);
