// SPDX-License-Identifier: MIT OR Apache-2.0

//! Table of LoPAR's connector states ("Dynamic Reconfiguration (DR) Architecture").

use super::action::Input::{self, Configure, Configured, Isolate, Unisolate, Unusable, Usable};

/// LoPAR's numbers: unusable, available, unisolated, configured; powered, unisolated, configured.
pub const LOGICAL: [u8; 4] = [1, 2, 3, 4];
pub const PHYSICAL: [u8; 3] = [6, 7, 8];

/// Transitions: state before, input, state after, status.
pub const TRANSITIONS: [(u8, Input, u8, i32); 42] = [
    (1, Isolate, 1, 0),
    (1, Unisolate, 1, -3),
    (1, Unusable, 1, 0),
    (1, Usable, 2, 0),
    (1, Configure, 1, -9003),
    (1, Configured, 1, -9003),
    (2, Isolate, 2, 0),
    (2, Unisolate, 3, 0),
    (2, Unusable, 1, 0),
    (2, Usable, 2, 0),
    (2, Configure, 2, -9003),
    (2, Configured, 2, -9003),
    (3, Isolate, 2, 0),
    (3, Unisolate, 3, 0),
    (3, Unusable, 3, -3),
    (3, Usable, 3, 0),
    (3, Configure, 3, 0),
    (3, Configured, 4, 0),
    (4, Isolate, 2, 0),
    (4, Unisolate, 4, 0),
    (4, Unusable, 4, -3),
    (4, Usable, 4, 0),
    (4, Configure, 4, 0),
    (4, Configured, 4, 0),
    (6, Isolate, 6, 0),
    (6, Unisolate, 7, 0),
    (6, Unusable, 6, -3),
    (6, Usable, 6, -3),
    (6, Configure, 6, -9003),
    (6, Configured, 6, -9003),
    (7, Isolate, 6, 0),
    (7, Unisolate, 7, 0),
    (7, Unusable, 7, -3),
    (7, Usable, 7, -3),
    (7, Configure, 7, 0),
    (7, Configured, 8, 0),
    (8, Isolate, 6, 0),
    (8, Unisolate, 8, 0),
    (8, Unusable, 8, -3),
    (8, Usable, 8, -3),
    (8, Configure, 8, 0),
    (8, Configured, 8, 0),
];

/// Returns the state after an input, and the status.
pub fn transition(state: u8, input: Input) -> (u8, i32) {
    let found = TRANSITIONS.iter().find(|(from, by, ..)| (*from, *by) == (state, input));
    let (_, _, to, status) = found.expect("the table has every state and input");
    (*to, *status)
}

/// Returns the state of a connector that is given back, and that of one that the guest uses.
pub fn ends(is_physical: bool) -> (u8, u8) {
    if is_physical { (6, 8) } else { (1, 4) }
}

/// Returns dr-entity-sense (9003): empty 0, present 1, unusable 2.
pub fn sense(state: u8, is_occupied: bool) -> u32 {
    match state {
        1 => 2,
        2..=4 => 1,
        _ => u32::from(is_occupied),
    }
}
