// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls of the guest about connectors.

use super::{Tracker, inferred};
use crate::{
    decode::{self, Call},
    drc::{Effect, Input, Kind, State, step},
    event::{Device, Events},
    wire::{
        drc::DrcIndex,
        offer::Classes,
        rtas::{EntitySense, Status},
    },
};

/// Answer to a `set-indicator` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Status of the call, its only output word.
    pub status: Status,
    /// Change of the connector's state; `None` if the state stayed the same.
    pub change: Option<Change>,
}

/// Change of the state of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The connector.
    pub connector: DrcIndex,
    /// State before the call.
    pub from: State,
    /// State after the call.
    pub to: State,
}

impl Change {
    /// Returns whether the next series of `ibm,configure-connector` calls begins with the first node again: the
    /// connector was isolated and is not any more.
    pub fn restarts_configuration(&self) -> bool {
        matches!(self.to, State::LogicalUnisolate | State::PhysicalUnisolate)
    }
}

/// Compares the status alone.
impl PartialEq<Status> for Answer {
    fn eq(&self, status: &Status) -> bool {
        self.status == *status
    }
}

impl From<Status> for Answer {
    /// Returns the answer to a call that changed no connector.
    fn from(status: Status) -> Self {
        Self { status, change: None }
    }
}

impl Tracker {
    /// Handles a `set-indicator` call with these input words. A call with another number of input words gets -3.
    pub fn set_indicator(&mut self, words: &[u32], events: &mut impl Events) -> Answer {
        let Ok(words) = <[u32; decode::SET_INDICATOR_INPUTS]>::try_from(words) else {
            return Status::NO_SUCH_INDICATOR.into();
        };
        match decode::set_indicator(words, self.offered.map(|offer| offer.indicator())) {
            Ok(Call::Transition(index, input)) => self.transition(index, input, events),
            Ok(Call::DrIndicator(index)) => self.dr_indicator(index).into(),
            Ok(Call::Report(index, report)) => self.report(index, report, events).into(),
            Err(status) => status.into(),
        }
    }

    /// Handles a `get-sensor-state` call with these input words. Returns the output words: the status and the sensor's
    /// state.
    ///
    /// The only sensor is dr-entity-sense (9003). A call with another number of input words gets -3.
    pub fn get_sensor_state(&self, words: &[u32]) -> (Status, EntitySense) {
        let index = <[u32; 2]>::try_from(words).map_err(|_| Status::NO_SUCH_INDICATOR);
        match index.and_then(decode::get_sensor_state).map(|index| self.topology.connector(index)) {
            Ok(Some((connector, device))) => (Status::SUCCESS, sense(connector.state, device.is_some())),
            Ok(None) => (Status::NO_SUCH_INDICATOR, EntitySense::EMPTY),
            Err(status) => (status, EntitySense::EMPTY),
        }
    }

    /// Begins a series of `ibm,configure-connector` calls. Unless the status is 0, the connector cannot be configured,
    /// and the status is what the call returns.
    pub fn configure(&mut self, index: DrcIndex, events: &mut impl Events) -> Status {
        self.transition(index, Input::Configure, events).status
    }

    /// Returns whether a series of `ibm,configure-connector` calls may go on.
    pub fn is_configurable(&self, index: DrcIndex) -> bool {
        self.topology
            .connector(index)
            .is_some_and(|(connector, _)| step(connector, Input::Configured).status.is_success())
    }

    /// Ends a series of `ibm,configure-connector` calls: the guest has the whole node.
    pub fn configured(&mut self, index: DrcIndex) -> Status {
        self.transition(index, Input::Configured, &mut ()).status
    }

    fn dr_indicator(&self, index: DrcIndex) -> Status {
        match self.topology.behind(index).map(|(resource, _)| Kind::of(resource)) {
            Some(Some(Kind::Physical)) => Status::SUCCESS,
            _ => Status::NO_SUCH_INDICATOR,
        }
    }

    fn transition(&mut self, index: DrcIndex, input: Input, events: &mut impl Events) -> Answer {
        let Some((connector, plugged)) = self.topology.connector(index) else {
            return Status::NO_SUCH_INDICATOR.into();
        };
        let device = plugged.map(|plugged| plugged.device);
        let (from, after) = (connector.state, step(connector, input));
        if after.state != from {
            self.topology.set_state(index, after.state);
        }
        match (after.effect, device) {
            (Effect::Hint, Some(device)) => self.hint(device, index, events),
            (Effect::Taken, Some(device)) => self.taken(device),
            (Effect::GivenBack, Some(device)) => self.given_back(device, events),
            _ => {}
        }
        let change = Change { connector: index, from, to: after.state };
        Answer { status: after.status, change: (change.from != change.to).then_some(change) }
    }

    /// Keeps a hint with the oldest request that the guest was asked for, if that is promised, and else ends it
    /// (PUE-V-040, PUE-V-041).
    fn hint(&mut self, device: Device, connector: DrcIndex, events: &mut impl Events) {
        let Some(request) = self.ledger.oldest_asked(device.connectors.first()) else { return };
        if request.promised {
            request.hint.get_or_insert(connector);
            return;
        }
        // PUE-V-043: an armed guest reports the same refusal in a moment.
        let echo = self.armed.contains(Classes::of(device.resource));
        if let Some(plugged) = self.topology.device_mut(device.connectors.first()) {
            plugged.echo = echo;
        }
        let id = request.id;
        if let Some(request) = self.ledger.take(|request| request.id == id) {
            self.end(&request, inferred(connector), events);
        }
    }

    /// Ends the removal of a device if no request is open: the guest takes one of its connectors again and so keeps it
    /// (PUE-V-061).
    fn taken(&mut self, device: Device) {
        if let Some(plugged) = self.topology.device_mut(device.connectors.first()) {
            plugged.wanted &= plugged.open > 0;
        }
    }

    /// Releases a device whose last connector was given back (PUE-V-060).
    fn given_back(&mut self, device: Device, events: &mut impl Events) {
        let plugged = self.topology.device(device.connectors.first());
        if plugged.is_some_and(|plugged| plugged.held == 0 && plugged.wanted) {
            self.release(device, events);
        }
    }
}

fn sense(state: State, is_occupied: bool) -> EntitySense {
    match state {
        State::LogicalUnusable => EntitySense::UNUSABLE,
        State::LogicalAvailable | State::LogicalUnisolate | State::LogicalConfigured => EntitySense::PRESENT,
        State::PhysicalPowerOn | State::PhysicalUnisolate | State::PhysicalConfigured if is_occupied => {
            EntitySense::PRESENT
        }
        State::PhysicalPowerOn | State::PhysicalUnisolate | State::PhysicalConfigured => EntitySense::EMPTY,
    }
}
