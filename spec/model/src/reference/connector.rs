// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls of the reference VMM's guest that move a connector: `set-indicator` and `ibm,configure-connector`.

use super::{Occupant, Reference};
use crate::{
    lopar::{self, Input},
    machine::Device,
    mutant::Mutant,
    vmm::Effects,
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::Resource,
    report::Word,
    rtas::{EntitySense, Indicator, Status},
};

/// The DR indicator of physical connectors.
const DR_INDICATOR: Indicator = Indicator(9002);

impl Reference {
    /// Takes a `set-indicator` call.
    pub fn set_indicator(&mut self, indicator: Indicator, index: DrcIndex, value: u32) -> Effects {
        if self.offered.is_some_and(|offer| offer.indicator() == indicator) {
            return self.report(index, Word(value));
        }
        if let Some(input) = Input::of(indicator, value) {
            return self.transition(index, input);
        }
        self.begin();
        let is_physical = self.connector(index).is_some_and(|connector| lopar::is_physical(connector.resource));
        if indicator == DR_INDICATOR && value <= 3 && is_physical {
            return Effects::status(Status::SUCCESS);
        }
        if Indicator::VENDOR.contains(&indicator.0) {
            self.by(3);
        }
        Effects::status(Status::NO_SUCH_INDICATOR)
    }

    /// Takes a call that moves a connector.
    pub fn transition(&mut self, index: DrcIndex, input: Input) -> Effects {
        self.begin();
        let Some(connector) = self.connector(index) else { return Effects::status(Status::NO_SUCH_INDICATOR) };
        let (state, occupant) = (connector.state, self.occupant(index));
        let is_wanted = matches!(occupant, Occupant::Wanted | Occupant::Asked);
        let is_lmb = connector.resource == Resource::MEMORY;
        match (input, state) {
            (Input::Isolate, 3 | 4) if is_lmb && !is_wanted && self.breaks(Mutant::RejectIsolateOfKept) => {
                return Effects::status(Status::HARDWARE);
            }
            (Input::Isolate, 3 | 4) if is_lmb => self.by(64),
            (Input::Usable, 1) if occupant == Occupant::Asked => {
                self.by(66);
                return Effects::status(Status::NO_SUCH_INDICATOR);
            }
            (Input::Usable, 1) | (Input::Unisolate, 6) if occupant == Occupant::Nobody => {
                return Effects::status(Status::NO_SUCH_INDICATOR);
            }
            _ => {}
        }
        let (after, status) = lopar::transition(state, input);
        self.set_state(index, after);
        let mut effects = Effects::status(status);
        let Some(plugged) = self.device(index) else { return effects };
        let reconfigured = (input, state) == (Input::Configure, 4) && is_lmb;
        let is_physical_hint = matches!(state, 7 | 8) && !self.breaks(Mutant::IgnorePhysicalHint);
        if (input == Input::Unisolate && (matches!(state, 3 | 4) || is_physical_hint)) || reconfigured {
            self.hint(plugged.device, index, &mut effects);
        }
        let takes = matches!((input, state), (Input::Usable, 1) | (Input::Unisolate, 2 | 6));
        if takes && occupant != Occupant::Asked {
            self.by(61);
            self.set_wanted(plugged.device, false);
        }
        let empty = lopar::empty(connector.resource);
        let given_back = after != state && after == empty;
        let all = self.held(plugged.device).next().is_none() || self.breaks(Mutant::ReleaseAtFirstLmb);
        let late = self.breaks(Mutant::ForgetLateRelease) && occupant != Occupant::Asked;
        if given_back && all && is_wanted && !late {
            self.by(60);
            self.release(plugged.device, 0, &mut effects);
        } else if given_back && !is_wanted {
            self.by(67);
        }
        effects
    }

    /// Takes a whole series of `ibm,configure-connector` calls.
    pub fn configure(&mut self, index: DrcIndex) -> Effects {
        let begun = self.transition(index, Input::Configure);
        if begun.status != Some(Status::SUCCESS) {
            return begun;
        }
        let ended = self.transition(index, Input::Configured);
        Effects { events: [begun.events, ended.events].concat(), ..ended }
    }

    /// Returns what `get-sensor-state` says of dr-entity-sense; `None` if there is no such connector.
    pub fn sense(&self, index: DrcIndex) -> Option<EntitySense> {
        let connector = self.connector(index)?;
        Some(lopar::sense(connector.state, self.device(index).is_some()))
    }

    /// PUE-V-040 to PUE-V-042
    fn hint(&mut self, device: Device, index: DrcIndex, effects: &mut Effects) {
        self.by(42);
        let is_armed = self.armed.contains(device.class());
        let keeps_all = self.breaks(Mutant::SwallowHint);
        let ends_all = self.breaks(Mutant::HintIsOutcome);
        let charges_withheld = self.breaks(Mutant::ChargeWithheld);
        let asked = |request: &&mut super::Request| request.device == device && (!request.withheld || charges_withheld);
        let Some(request) = self.requests.iter_mut().find(asked) else { return };
        let keep = (request.promised && !ends_all) || (keeps_all && is_armed);
        if keep {
            request.hint.get_or_insert(index);
            self.by(41);
            return;
        }
        let request = *request;
        self.by(40);
        self.set_report_follows(device, is_armed);
        self.requests.retain(|other| other.id != request.id);
        self.tell(effects, request.inferred(index));
    }
}
