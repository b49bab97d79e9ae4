// SPDX-License-Identifier: MIT OR Apache-2.0

//! State machine of one DR connector, with LoPAR's states.
//!
//! [`step`] is pure and total, and decides about one connector only. The [`Tracker`](crate::Tracker) decides what
//! follows for a device of many connectors and for the requests about it.
//!
//! ```
//! use papr_unplug::drc::{Connector, Effect, Input, Occupant, State, step};
//! use papr_unplug::wire::{hotplug::Resource, rtas::Status};
//!
//! // A guest that refuses to give a CPU back sets its isolation-state to UNISOLATE while it is configured.
//! let cpu = Connector { resource: Resource::CPU, state: State::LogicalConfigured, occupant: Occupant::Asked };
//! let step = step(cpu, Input::Unisolate);
//! assert_eq!((step.status, step.effect), (Status::SUCCESS, Effect::Hint));
//! ```

use crate::wire::{hotplug::Resource, rtas::Status};

/// Kind of a connector (LoPAR, "Dynamic Reconfiguration (DR) Architecture").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connector of a CPU core, LMB, PHB or persistent memory. It has an allocation state.
    Logical,
    /// Connector of a PCI slot or function. It has a DR indicator.
    Physical,
}

/// State of a connector, with LoPAR's numbers. QEMU migrates the same numbers.
///
/// State 5 (physical, available) does not occur: every physical connector is in a live insertion power domain that the
/// VMM keeps powered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The guest may not use the resource.
    LogicalUnusable = 1,
    /// The resource belongs to the guest and is isolated.
    LogicalAvailable = 2,
    /// The resource belongs to the guest and is not configured yet.
    LogicalUnisolate = 3,
    /// The guest may use the resource.
    LogicalConfigured = 4,
    /// The connector is powered and isolated.
    PhysicalPowerOn = 6,
    /// The connector is not isolated and not configured yet.
    PhysicalUnisolate = 7,
    /// The guest may use the resource.
    PhysicalConfigured = 8,
}

/// Occupant of a connector, as far as transitions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// No device.
    Nobody,
    /// A device whose removal is not wanted.
    Kept,
    /// A device whose removal is still wanted, with no request open (PUE-V-061).
    Wanted,
    /// A device whose removal is wanted, with a request open.
    Asked,
}

/// Connector as [`step`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Type of the resource that it connects.
    pub resource: Resource,
    /// State of the connector.
    pub state: State,
    /// Occupant of the connector.
    pub occupant: Occupant,
}

/// Call of the guest about one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Sets isolation-state (9001) to ISOLATE (0).
    Isolate,
    /// Sets isolation-state (9001) to UNISOLATE (1).
    Unisolate,
    /// Sets allocation-state (9003) to UNUSABLE (0).
    Unusable,
    /// Sets allocation-state (9003) to USABLE (1).
    Usable,
    /// Begins a series of `ibm,configure-connector` calls.
    Configure,
    /// Ends a series of `ibm,configure-connector` calls: the last one has been answered.
    Configured,
}

/// Result of [`step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// State of the connector after the call.
    pub state: State,
    /// Status that RTAS returns to the guest.
    pub status: Status,
    /// Effect on the device behind the connector.
    pub effect: Effect,
}

/// Effect of a step on the device behind the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No effect.
    Nothing,
    /// The guest hints that it refuses to give the device back (PUE-V-040).
    Hint,
    /// The guest has given the connector back.
    GivenBack,
    /// The guest takes a connector that was given back or isolated, or goes on taking it.
    Taken,
}

/// Status of `ibm,configure-connector`: the connector cannot be configured, because it is isolated or not the guest's.
pub const NOT_CONFIGURABLE: Status = Status(-9003);

impl Kind {
    /// Returns the kind of a resource's connectors; `None` for a resource that LoPAR does not know.
    pub fn of(resource: Resource) -> Option<Self> {
        match resource {
            Resource::CPU | Resource::MEMORY | Resource::PHB | Resource::PMEM => Some(Self::Logical),
            Resource::SLOT | Resource::PCI => Some(Self::Physical),
            _ => None,
        }
    }

    /// Returns the state of a connector without a device, or with a device that the guest has not taken.
    pub fn empty(self) -> State {
        match self {
            Self::Logical => State::LogicalUnusable,
            Self::Physical => State::PhysicalPowerOn,
        }
    }

    /// Returns the state of a connector whose device the guest uses. A device that is plugged at reset has it too.
    pub fn ready(self) -> State {
        match self {
            Self::Logical => State::LogicalConfigured,
            Self::Physical => State::PhysicalConfigured,
        }
    }
}

impl State {
    /// Returns the state with LoPAR's number.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::LogicalUnusable,
            2 => Self::LogicalAvailable,
            3 => Self::LogicalUnisolate,
            4 => Self::LogicalConfigured,
            6 => Self::PhysicalPowerOn,
            7 => Self::PhysicalUnisolate,
            8 => Self::PhysicalConfigured,
            _ => return None,
        })
    }

    /// Returns LoPAR's number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Returns the kind of connectors that have the state.
    pub fn kind(self) -> Kind {
        match self {
            Self::LogicalUnusable | Self::LogicalAvailable | Self::LogicalUnisolate | Self::LogicalConfigured => {
                Kind::Logical
            }
            Self::PhysicalPowerOn | Self::PhysicalUnisolate | Self::PhysicalConfigured => Kind::Physical,
        }
    }

    /// Returns whether the guest has given the connector back: it is unusable, or isolated if it is physical.
    pub fn is_given_back(self) -> bool {
        self == self.kind().empty()
    }
}

/// Returns what `input` does to the connector.
pub fn step(connector: Connector, input: Input) -> Step {
    match connector.state.kind() {
        Kind::Logical => logical(connector, input),
        Kind::Physical => physical(connector, input),
    }
}

fn logical(connector: Connector, input: Input) -> Step {
    use State::{
        LogicalAvailable as Available, LogicalConfigured as Configured, LogicalUnisolate as Unisolate,
        LogicalUnusable as Unusable,
    };
    let Connector { resource, state, occupant } = connector;
    match (input, state) {
        // PUE-V-064: also an LMB of a DIMM whose removal is not wanted. The guest can take it again.
        (Input::Isolate, Configured | Unisolate) => connector.becomes(Available, Effect::Nothing),
        (Input::Isolate, _) => connector.stays(Status::SUCCESS),

        // PUE-V-042: LoPAR: a null transition always succeeds.
        (Input::Unisolate, Configured | Unisolate) => connector.becomes(state, Effect::Hint),
        (Input::Unisolate, Available) => connector.becomes(Unisolate, Effect::Taken),
        (Input::Unisolate, _) => connector.stays(Status::NO_SUCH_INDICATOR),

        // PUE-V-066
        (Input::Usable, Unusable) if matches!(occupant, Occupant::Nobody | Occupant::Asked) => {
            connector.stays(Status::NO_SUCH_INDICATOR)
        }
        (Input::Usable, Unusable) => connector.becomes(Available, Effect::Taken),
        (Input::Usable, _) => connector.stays(Status::SUCCESS),

        (Input::Unusable, Available) => connector.becomes(Unusable, Effect::GivenBack),
        (Input::Unusable, Unusable) => connector.stays(Status::SUCCESS),
        (Input::Unusable, _) => connector.stays(Status::NO_SUCH_INDICATOR),

        // Linux before 5.13 hints by configuring an LMB that it has not given back.
        (Input::Configure, Configured) if resource == Resource::MEMORY => connector.becomes(state, Effect::Hint),
        (Input::Configure, Configured | Unisolate) => connector.stays(Status::SUCCESS),
        (Input::Configured, Configured | Unisolate) => connector.becomes(Configured, Effect::Nothing),
        (Input::Configure | Input::Configured, _) => connector.stays(NOT_CONFIGURABLE),
    }
}

fn physical(connector: Connector, input: Input) -> Step {
    use State::{PhysicalConfigured as Configured, PhysicalPowerOn as PowerOn, PhysicalUnisolate as Unisolate};
    let Connector { state, occupant, .. } = connector;
    match (input, state) {
        (Input::Isolate, Configured | Unisolate) => connector.becomes(PowerOn, Effect::GivenBack),
        (Input::Isolate, _) => connector.stays(Status::SUCCESS),

        (Input::Unisolate, PowerOn) if occupant == Occupant::Nobody => connector.stays(Status::NO_SUCH_INDICATOR),
        (Input::Unisolate, PowerOn) => connector.becomes(Unisolate, Effect::Taken),
        // PUE-V-042
        (Input::Unisolate, _) => connector.becomes(state, Effect::Hint),

        // Physical connectors have no allocation state.
        (Input::Usable | Input::Unusable, _) => connector.stays(Status::NO_SUCH_INDICATOR),

        (Input::Configure, Configured | Unisolate) => connector.stays(Status::SUCCESS),
        (Input::Configured, Configured | Unisolate) => connector.becomes(Configured, Effect::Nothing),
        (Input::Configure | Input::Configured, _) => connector.stays(NOT_CONFIGURABLE),
    }
}

impl Connector {
    fn stays(self, status: Status) -> Step {
        Step { state: self.state, status, effect: Effect::Nothing }
    }

    fn becomes(self, state: State, effect: Effect) -> Step {
        // Without a device there is no effect.
        let effect = if self.occupant == Occupant::Nobody { Effect::Nothing } else { effect };
        Step { state, status: Status::SUCCESS, effect }
    }
}
