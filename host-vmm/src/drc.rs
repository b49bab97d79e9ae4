// SPDX-License-Identifier: MIT OR Apache-2.0

//! One DR connector: LoPAR's states, and what each call of the guest does to them.
//!
//! [`step`] is pure and total. It decides about one connector only; what follows for a device of many connectors, and for
//! the requests about it, is [`crate::tracker`]'s.
//!
//! ```
//! use papr_unplug::drc::{Connector, Effect, Input, Occupant, State, step};
//! use papr_unplug::wire::{hotplug::Resource, rtas::Status};
//!
//! // A guest that sets isolation-state of a configured CPU to UNISOLATE refuses to give it back.
//! let cpu = Connector { resource: Resource::CPU, state: State::LogicalConfigured, occupant: Occupant::Asked };
//! let step = step(cpu, Input::Unisolate);
//! assert_eq!((step.status, step.effect), (Status::SUCCESS, Effect::Hint));
//! ```

use crate::wire::{hotplug::Resource, rtas::Status};

/// Whether LoPAR's logical or physical connector states apply ("Dynamic Reconfiguration (DR) Architecture").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CPU cores, LMBs, PHBs, persistent memory: have an allocation state.
    Logical,
    /// PCI slots and functions: have a DR indicator.
    Physical,
}

/// The state of a connector, with LoPAR's numbers, which are also those that QEMU migrates.
///
/// State 5 (physical, available) does not occur: every physical connector is in a live insertion power domain, which
/// the VMM keeps powered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The guest may not use it.
    LogicalUnusable = 1,
    /// It is the guest's, and isolated.
    LogicalAvailable = 2,
    /// It is the guest's, and not configured yet.
    LogicalUnisolate = 3,
    /// The guest may use what is behind it.
    LogicalConfigured = 4,
    /// It is powered and isolated.
    PhysicalPowerOn = 6,
    /// It is not isolated, and not configured yet.
    PhysicalUnisolate = 7,
    /// The guest may use what is behind it.
    PhysicalConfigured = 8,
}

/// What stands behind a connector, as far as its answers depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// Nothing.
    Nobody,
    /// A device whose removal is not wanted.
    Kept,
    /// A device whose removal is wanted still, though no request is open (PUE-V-061).
    Wanted,
    /// A device whose removal is wanted, with a request open.
    Asked,
}

/// A connector as [`step`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connector {
    /// What kind of resource it connects.
    pub resource: Resource,
    /// Its state.
    pub state: State,
    /// What stands behind it.
    pub occupant: Occupant,
}

/// What the guest does to one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The last of a series of `ibm,configure-connector` calls has been answered.
    Configured,
}

/// What one input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state the connector is in now.
    pub state: State,
    /// What RTAS returns to the guest.
    pub status: Status,
    /// What it means to the device behind the connector.
    pub effect: Effect,
}

/// What a step means to the device behind the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// A guest that refuses to give the device back does this (PUE-V-040).
    Hint,
    /// The guest has given the connector back.
    GivenBack,
    /// The guest takes, or goes on to take, a connector that was given back or isolated.
    Taken,
}

/// `ibm,configure-connector`: the connector cannot be configured, because it is isolated or not the guest's.
pub const NOT_CONFIGURABLE: Status = Status(-9003);

impl Kind {
    /// The kind of a resource's connectors; `None` for a resource that LoPAR does not know.
    pub fn of(resource: Resource) -> Option<Self> {
        match resource {
            Resource::CPU | Resource::MEMORY | Resource::PHB | Resource::PMEM => Some(Self::Logical),
            Resource::SLOT | Resource::PCI => Some(Self::Physical),
            _ => None,
        }
    }

    /// The state of a connector with nothing behind it, or with something the guest has not taken.
    pub fn empty(self) -> State {
        match self {
            Self::Logical => State::LogicalUnusable,
            Self::Physical => State::PhysicalPowerOn,
        }
    }

    /// The state of a connector whose device the guest uses; also that of a device that is there at reset.
    pub fn ready(self) -> State {
        match self {
            Self::Logical => State::LogicalConfigured,
            Self::Physical => State::PhysicalConfigured,
        }
    }
}

impl State {
    /// The state with LoPAR's number.
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

    /// LoPAR's number for it.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Which connectors have it.
    pub fn kind(self) -> Kind {
        match self {
            Self::LogicalUnusable | Self::LogicalAvailable | Self::LogicalUnisolate | Self::LogicalConfigured => {
                Kind::Logical
            }
            Self::PhysicalPowerOn | Self::PhysicalUnisolate | Self::PhysicalConfigured => Kind::Physical,
        }
    }

    /// Whether the guest holds nothing of the connector: it is unusable, or if physical, isolated.
    pub fn is_given_back(self) -> bool {
        self == self.kind().empty()
    }
}

/// What `input` does to the connector.
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
    let wanted = matches!(occupant, Occupant::Wanted | Occupant::Asked);
    match (input, state) {
        // Memory goes by the DIMM, and a guest that is asked for an amount may choose LMBs that nobody wants back.
        (Input::Isolate, Configured | Unisolate) if resource == Resource::MEMORY && !wanted => {
            connector.stays(Status::HARDWARE)
        }
        // PUE-V-064
        (Input::Isolate, Configured | Unisolate) => connector.becomes(Available, Effect::Nothing),
        (Input::Isolate, _) => connector.stays(Status::SUCCESS),

        // PUE-V-042: LoPAR says of a null transition that it always succeeds.
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

        // Linux before 5.13 gives a refusal away by configuring an LMB that it has never given back.
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
        (Input::Unisolate, _) => connector.stays(Status::SUCCESS),

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
        // What a guest says about nothing means nothing.
        let effect = if self.occupant == Occupant::Nobody { Effect::Nothing } else { effect };
        Step { state, status: Status::SUCCESS, effect }
    }
}
