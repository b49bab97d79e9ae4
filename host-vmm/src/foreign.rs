// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a VMM that knows level 0 only migrates, as QEMU did before it used this crate.

use crate::{
    Request, Tracker,
    drc::{Kind, State},
    event::Device,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        token::Token,
    },
};
use std::collections::{BTreeMap, HashMap};

/// What such a VMM says about one connector. Of a connector that is configured and not asked for, QEMU says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Which connector.
    pub index: DrcIndex,
    /// Its state, with LoPAR's number.
    pub state: u32,
    /// Whether a removal was asked for and not answered (QEMU: `unplug_requested`).
    pub unplug_requested: bool,
}

/// Why it was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// No device is behind this connector.
    #[error("there is no device at connector {0}; plug it before importing")]
    NoDevice(DrcIndex),
    /// The connector has no such state, or not one whose device is still there to be removed.
    #[error("connector {0} cannot be in state {1}")]
    BadState(DrcIndex, u32),
    /// More removals are marked than this VMM takes.
    #[error("more removals were requested than this VMM is configured to take ({0})")]
    TooMany(usize),
}

impl Tracker {
    /// Takes what a VMM migrated that knows level 0 only, for a machine that has the same devices. Nothing is armed, and
    /// every device that was being removed has one open request (PUE-V-082).
    ///
    /// Of connectors that it says nothing about, those of a device that is being removed are given back (QEMU detaches
    /// each LMB that it gets, and then knows it no longer), and all others are configured.
    ///
    /// If it fails nothing has changed.
    pub fn import(&mut self, connectors: &[Foreign]) -> Result<(), ImportError> {
        let mut states = HashMap::new();
        let mut pending = BTreeMap::new();
        for foreign in connectors {
            let (device, state) = self.read_foreign(foreign)?;
            states.insert(foreign.index, state);
            if foreign.unplug_requested {
                pending.entry(device.connectors.first()).or_insert((device.connectors, foreign));
            }
        }
        if pending.len() > self.ledger.bound() {
            return Err(ImportError::TooMany(self.ledger.bound()));
        }
        for (connectors, marked) in pending.values() {
            let is_held = |index| states.get(&index).is_some_and(|state: &State| !state.is_given_back());
            // A device that is wanted is deleted the moment its last connector is given back.
            if !connectors.indexes().any(is_held) {
                return Err(ImportError::BadState(marked.index, marked.state));
            }
        }

        (self.offered, self.armed, self.features) = (self.config.offer, Classes::empty(), Features::empty());
        let mut requests = Vec::with_capacity(pending.len());
        let (mut id, token) = self.ledger.last();
        for plugged in self.topology.devices() {
            let device = plugged.device;
            let wanted = pending.contains_key(&device.connectors.first());
            let unsaid = Kind::of(device.resource).map(if wanted { Kind::empty } else { Kind::ready });
            let state = |index| states.get(&index).copied().or(unsaid);
            self.topology.restore(device, wanted, device.connectors.indexes().filter_map(state));
            if wanted {
                id = id.next();
                requests.push(Request { id, device, token: Token::NONE, promised: false, started: false, hint: None });
            }
        }
        requests.iter().for_each(|request| self.count_open(request.device, 1));
        self.ledger = self.ledger.with(requests, (id, token));
        Ok(())
    }

    /// The device that such a statement is about, unless [`Self::import`] would not take it. For a VMM that hears of one
    /// connector at a time and wants to fail where the fault is; how many removals are marked it has to count itself.
    pub fn device_of(&self, foreign: &Foreign) -> Result<Device, ImportError> {
        self.read_foreign(foreign).map(|(device, _)| device)
    }

    fn read_foreign(&self, foreign: &Foreign) -> Result<(Device, State), ImportError> {
        let device = self.device(foreign.index).ok_or(ImportError::NoDevice(foreign.index))?;
        let is_gone =
            |state: &State| foreign.unplug_requested && state.is_given_back() && device.connectors.count() == 1;
        let state = State::from_number(foreign.state)
            .filter(|state| Some(state.kind()) == Kind::of(device.resource) && !is_gone(state));
        Ok((device, state.ok_or(ImportError::BadState(foreign.index, foreign.state))?))
    }

    /// Whether all of the state can be said in the terms of such a VMM: nothing is armed, and no removal is wanted.
    pub fn is_plain(&self) -> bool {
        self.armed.is_empty() && !self.topology.is_any_wanted()
    }

    /// Whether such a VMM would say that a removal of the device behind this connector is pending (PUE-V-083).
    pub fn is_unplug_requested(&self, index: DrcIndex) -> bool {
        let device = self.topology.connector(index).and_then(|(_, device)| device);
        device.is_some_and(|plugged| plugged.open > 0)
    }
}
