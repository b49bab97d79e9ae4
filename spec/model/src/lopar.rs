// SPDX-License-Identifier: MIT OR Apache-2.0

//! States of a DR connector, and their transitions, as a table (LoPAR, "Dynamic Reconfiguration (DR) Architecture").

use self::Input::{Configure, Configured, Isolate, Unisolate, Unusable, Usable};
use papr_unplug_wire::wire::{
    hotplug::Resource,
    rtas::{EntitySense, Indicator, Status},
};

/// A call of the guest about one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// isolation-state (9001) to ISOLATE (0).
    Isolate,
    /// isolation-state (9001) to UNISOLATE (1).
    Unisolate,
    /// allocation-state (9003) to UNUSABLE (0).
    Unusable,
    /// allocation-state (9003) to USABLE (1).
    Usable,
    /// The first of a series of `ibm,configure-connector` calls.
    Configure,
    /// The last of a series of `ibm,configure-connector` calls.
    Configured,
}

/// The numbers of a logical connector's states: unusable, available, unisolated, configured.
pub const LOGICAL: [u8; 4] = [1, 2, 3, 4];
/// The numbers of a physical connector's states: powered, unisolated, configured.
pub const PHYSICAL: [u8; 3] = [6, 7, 8];

/// Each state and input with the state that follows and the status.
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

impl Input {
    /// Every input.
    pub const ALL: [Self; 6] = [Isolate, Unisolate, Unusable, Usable, Configure, Configured];

    /// Returns the indicator and the state of the `set-indicator` call that it is; `None` if it is another call.
    pub fn indicator(self) -> Option<(Indicator, u32)> {
        match self {
            Isolate => Some((Indicator::ISOLATION_STATE, 0)),
            Unisolate => Some((Indicator::ISOLATION_STATE, 1)),
            Unusable => Some((Indicator::ALLOCATION_STATE, 0)),
            Usable => Some((Indicator::ALLOCATION_STATE, 1)),
            Configure | Configured => None,
        }
    }

    /// Returns the input that a `set-indicator` call is.
    pub fn of(indicator: Indicator, state: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|input| input.indicator() == Some((indicator, state)))
    }
}

/// Returns the state that follows, and the status.
pub fn transition(state: u8, input: Input) -> (u8, Status) {
    let found = TRANSITIONS.iter().find(|(from, by, ..)| (*from, *by) == (state, input));
    found.map_or((state, Status::NO_SUCH_INDICATOR), |(_, _, to, status)| (*to, Status(*status)))
}

/// Returns whether the connectors of a resource have the physical states.
pub fn is_physical(resource: Resource) -> bool {
    matches!(resource, Resource::SLOT | Resource::PCI)
}

/// Returns the state in which the guest holds nothing of a connector.
pub fn empty(resource: Resource) -> u8 {
    if is_physical(resource) { 6 } else { 1 }
}

/// Returns the state in which the guest uses what is behind a connector.
pub fn configured(resource: Resource) -> u8 {
    if is_physical(resource) { 8 } else { 4 }
}

/// Returns what dr-entity-sense says of a connector.
pub fn sense(state: u8, is_occupied: bool) -> EntitySense {
    match state {
        1 => EntitySense::UNUSABLE,
        2..=4 => EntitySense::PRESENT,
        _ if is_occupied => EntitySense::PRESENT,
        _ => EntitySense::EMPTY,
    }
}
