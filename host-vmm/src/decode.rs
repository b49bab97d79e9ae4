// SPDX-License-Identifier: MIT OR Apache-2.0

//! Decoder for the input words of `set-indicator` and `get-sensor-state` (LoPAR, chapter "RTAS").
//!
//! The words come from the guest. The decoder looks at no connector. Every error is the status that RTAS returns.

use crate::{
    drc::Input,
    wire::{
        drc::DrcIndex,
        report::{Report, Word},
        rtas::{EntitySense, Indicator, Status},
    },
};

/// Number of input words of `set-indicator`: indicator, index, state.
pub const SET_INDICATOR_INPUTS: usize = 3;

/// Meaning of a `set-indicator` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Transition of one connector (indicators 9001 and 9003).
    Transition(DrcIndex, Input),
    /// Change of the visual indicator of a physical connector (9002); no other state depends on it.
    DrIndicator(DrcIndex),
    /// Report about removal requests.
    Report(DrcIndex, Report),
}

/// Decodes the input words of a `set-indicator` call, in the VMM's byte order.
///
/// `reports_on` is the indicator that this guest was offered for reports, if any. Fails with the status to return: -3
/// for an unknown indicator or state, -9005 for a report word without a meaning (PUE-V-003, PUE-V-012).
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

/// Decodes the input words of a `get-sensor-state` call. Returns the connector whose dr-entity-sense (9003) is read, or
/// the status -3 for any other sensor.
pub fn get_sensor_state(words: [u32; 2]) -> Result<DrcIndex, Status> {
    let [sensor, index] = words;
    if sensor == EntitySense::SENSOR { Ok(DrcIndex(index)) } else { Err(Status::NO_SUCH_INDICATOR) }
}

const DR_INDICATOR: Indicator = Indicator(9002);
