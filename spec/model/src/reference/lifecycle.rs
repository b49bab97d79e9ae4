// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reset, migration and import of the reference VMM, and its interface to the model.

use super::{Config, Plugged, Reference, Request};
use crate::{
    lopar,
    machine::{ALL_DEVICES, DEVICES, Device, UNPLUG_STATUS, USER_SPACE_DEVICES},
    mutant::{Mutant, Mutants},
    vmm::{Effects, Event, Input, Open, Outcome, Taker, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features, Offer},
    rtas::EntitySense,
};
use std::collections::BTreeSet;

impl Config {
    /// The configuration of the vectors' machine.
    pub const VECTORS: Self = Self {
        offer: Some(Offer::new(
            UNPLUG_STATUS,
            Classes::CPU.union(Classes::MEMORY).union(Classes::PCI),
            Features::TOKEN.union(Features::STARTED),
        )),
        max_open: 4,
        max_open_per_device: 3,
    };
}

impl Reference {
    /// Returns the vectors' machine with every device plugged and configured; it breaks these rules.
    pub fn of_vectors(broken: impl Into<Mutants>) -> Self {
        Self::booted(Config::VECTORS, ALL_DEVICES).breaking(broken.into())
    }

    /// Returns the machine that the model explores, with every device plugged and configured; it breaks these rules.
    pub fn explored(broken: impl Into<Mutants>) -> Self {
        let config = Config { max_open_per_device: Config::VECTORS.max_open, ..Config::VECTORS };
        Self::booted(config, DEVICES).breaking(broken.into())
    }

    /// Returns the machine that the model explores whose devices user space removes; it breaks these rules.
    pub fn explored_in_user_space(broken: impl Into<Mutants>) -> Self {
        let config = Config { max_open_per_device: Config::VECTORS.max_open, ..Config::VECTORS };
        Self::booted(config, USER_SPACE_DEVICES).breaking(broken.into())
    }

    /// Returns a VMM with these devices plugged and configured.
    pub fn booted(config: Config, devices: impl IntoIterator<Item = Device> + Clone) -> Self {
        let mut reference = Self::new(config, devices.clone());
        for device in devices {
            reference.plug(device);
            reference.boot(device);
        }
        reference
    }

    /// Resets the machine, or lets the guest negotiate (PUE-V-070 to PUE-V-073).
    pub fn reset(&mut self, taker: Taker) -> Effects {
        self.begin();
        [70, 71, 72].into_iter().for_each(|clause| self.by(clause));
        let mut effects = Effects::default();
        self.offered = self.config.offer;
        if !self.breaks(Mutant::StayArmedOverReset) {
            (self.armed, self.features) = (Classes::empty(), Features::empty());
        }
        let outcome = if taker == Taker::Cas { Outcome::Cas } else { Outcome::Reset };
        while !self.requests.is_empty() && !self.breaks(Mutant::KeepRequestsOverReset) {
            let request = self.requests.remove(0);
            if let Some(hint) = request.hint {
                self.tell(&mut effects, request.inferred(hint));
                continue;
            }
            let others = self.take_requests(usize::MAX, |_, other| other.device == request.device);
            let ended: Vec<_> = std::iter::once(request).chain(others).collect();
            ended.iter().for_each(|request| self.tell(&mut effects, request.ended(outcome)));
            self.forget(request.device);
            self.tell(&mut effects, Event::Deleted(request.device, taker, ended.len() as u32));
        }
        for Plugged { device, .. } in self.plugged.clone() {
            self.set_all(device, lopar::configured(device.resource));
            self.set_wanted(device, false);
            self.set_report_follows(device, false);
        }
        effects
    }

    /// Changes what guests are offered from their next boot on. `None` also ends what the guest of now was offered.
    pub fn set_offer(&mut self, offer: Option<Offer>) -> Effects {
        self.begin();
        self.config.offer = offer;
        if offer.is_some() {
            return Effects::default();
        }
        self.offered = None;
        Effects { status: None, ..self.arm(Classes::empty(), Features::empty()) }
    }

    /// Goes on as a VMM does that was handed the state by one that knows level 0 only (PUE-V-082): a mark for each
    /// device that is being removed is all that came.
    pub fn import(&mut self) {
        self.begin();
        self.by(82);
        self.begin_at_level_0(self.config.offer);
        let marked: Vec<Device> = self.requests.drain(..).map(|request| request.device).collect();
        self.plugged.sort_by_key(|plugged| plugged.device.first);
        for Plugged { device, .. } in self.plugged.clone() {
            self.set_wanted(device, marked.contains(&device));
            self.set_report_follows(device, false);
            if marked.contains(&device) {
                let id = self.next_id();
                self.requests.push(Request { imported: true, ..Request::new(id, device) });
            }
        }
    }

    /// Loads a state of a machine with the same devices (PUE-V-086, PUE-V-087); `None` if it does not fit.
    pub fn load(&mut self, saved: &Self) -> Option<Effects> {
        self.begin();
        let plugged =
            |reference: &Self| -> BTreeSet<Device> { reference.plugged.iter().map(|plugged| plugged.device).collect() };
        if plugged(saved) != plugged(self) || (saved.offered.is_some() && self.config.offer.is_none()) {
            return None;
        }
        self.by(87);
        let here = std::mem::take(&mut self.requests);
        let id_here = self.last;
        let is_same =
            |one: &Request, other: &Request| (one.id, one.device, one.token) == (other.id, other.device, other.token);
        self.last = self.last.max(saved.last);
        for request in &saved.requests {
            let goes_on = request.id > id_here || here.iter().any(|open| is_same(open, request));
            let id = if goes_on { request.id } else { self.next_id() };
            self.requests.push(Request { id, ..*request });
        }
        let mut effects = Effects::default();
        for request in here.iter().filter(|open| !saved.requests.iter().any(|request| is_same(open, request))) {
            self.tell(&mut effects, request.ended(Outcome::Load));
        }
        (self.offered, self.armed, self.features) = (saved.offered, saved.armed, saved.features);
        (self.connectors, self.plugged) = (saved.connectors.clone(), saved.plugged.clone());
        self.tokens = self.tokens.max(saved.tokens);
        Some(effects)
    }

    fn begin_at_level_0(&mut self, offer: Option<Offer>) {
        self.offered = offer;
        (self.armed, self.features) = (Classes::empty(), Features::empty());
        self.tokens = 0;
    }

    /// Does what [`Self::import`] does, but keeps the identities, by which the model's user tells requests apart.
    fn migrate(&mut self, offer: Option<Offer>) {
        self.begin();
        self.by(82);
        self.begin_at_level_0(offer);
        for request in &mut self.requests {
            *request = Request { imported: true, ..Request::new(request.id, request.device) };
        }
    }
}

impl Vmm for Reference {
    fn step(&mut self, input: Input) -> Effects {
        let effects = match input {
            Input::DeviceDel(device) => self.request(device),
            Input::Withhold(device) => self.withhold(device),
            Input::Together(devices) => self.together(devices),
            Input::Withdraw(request) => self.withdraw(request),
            Input::SetIndicator(indicator, index, value) => self.set_indicator(indicator, index, value),
            Input::Configure(index) => self.configure(index),
            Input::Reset => self.reset(Taker::Reset),
            Input::Cas => self.reset(Taker::Cas),
            Input::Migrate => Effects::default(),
            Input::MigrateToLevel0 => {
                self.migrate(None);
                Effects::default()
            }
            Input::MigrateToLevel1 => {
                self.migrate(self.config.offer);
                Effects::default()
            }
        };
        let migrates = matches!(input, Input::Migrate | Input::MigrateToLevel0 | Input::MigrateToLevel1);
        if migrates && self.breaks(Mutant::ForgetOnMigration) {
            self.requests.clear();
        }
        // Clauses are noted for one call, and would tell apart states that are the same.
        self.clauses = super::Clauses::default();
        effects
    }

    fn present(&self, device: Device) -> bool {
        self.is_plugged(device)
    }

    fn usable(&self, connector: DrcIndex) -> bool {
        self.sense(connector) == Some(EntitySense::PRESENT)
    }

    fn open(&self) -> Vec<Open> {
        let open = |request: &Request| Open {
            request: request.id,
            device: request.device,
            promised: request.promised,
            withheld: request.withheld,
        };
        self.requests.iter().map(open).collect()
    }

    fn offers(&self) -> bool {
        self.offered.is_some()
    }
}
