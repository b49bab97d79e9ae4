// SPDX-License-Identifier: MIT OR Apache-2.0

//! Foreign states: what a VMM without this crate migrates, such as stock QEMU.

use crate::{
    Request, Tracker,
    drc::{Kind, State},
    event::{Device, Events},
    snapshot::count,
    tracker::Numbers,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        token::Token,
    },
};
use alloc::{collections::BTreeMap, vec::Vec};
use hashbrown::HashMap;

/// Foreign state of one connector. QEMU migrates none for a connector that is configured and not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// DRC index of the connector.
    pub index: DrcIndex,
    /// State of the connector, with LoPAR's number.
    pub state: u32,
    /// True if a removal was requested and not answered (QEMU: `unplug_requested`).
    pub unplug_requested: bool,
}

/// Error of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// No device is behind this connector.
    #[error("there is no device at connector {0}; plug it before importing")]
    NoDevice(DrcIndex),
    /// The connector has no such state, or one whose device would have been deleted.
    #[error("connector {0} cannot be in state {1}")]
    BadState(DrcIndex, u32),
    /// More removals are marked than this VMM takes.
    #[error("more removals were requested than this VMM is configured to take ({0})")]
    TooMany(usize),
}

impl Tracker {
    /// Imports the state of a VMM that knows level 0 only, for a machine that has the same devices. Nothing is armed,
    /// and every device that was being removed has one open request, with a new id and without a token (PUE-V-082). The
    /// imported state replaces the state of the machine, and no device is deleted; requests that were open before end
    /// as [`End::Load`](crate::event::End::Load).
    ///
    /// Of the connectors without a foreign state, those of a device that is being removed are given back (QEMU detaches
    /// each LMB that it gets back, and then migrates nothing about it), and all others are configured.
    ///
    /// A call that fails changes nothing.
    pub fn import(&mut self, connectors: &[Foreign], events: &mut impl Events) -> Result<(), ImportError> {
        let mut states = HashMap::new();
        let mut pending = BTreeMap::new();
        for foreign in connectors {
            let (device, state) = self.read_foreign(foreign)?;
            states.insert(foreign.index, state);
            if foreign.unplug_requested {
                pending.entry(device.connectors.first()).or_insert((device.connectors, foreign));
            }
        }
        if pending.len() > self.max_open() {
            return Err(ImportError::TooMany(self.max_open()));
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
        // The guest may know its requests by tokens of another VMM, so all tokens begin anew (PUE-V-034).
        let mut last = Numbers { tokens: 0, ..self.ledger.last() };
        for plugged in self.topology.devices() {
            let device = plugged.device;
            let wanted = pending.contains_key(&device.connectors.first());
            let default = Kind::of(device.resource).map(if wanted { Kind::empty } else { Kind::ready });
            let state = |index| states.get(&index).copied().or(default);
            let open = count(usize::from(wanted));
            self.topology.restore(device, wanted, open, device.connectors.indexes().filter_map(state));
            if wanted {
                last.id = last.id.next();
                requests.push(Request {
                    id: last.id,
                    device,
                    token: Token::NONE,
                    promised: false,
                    started: false,
                    withheld: false,
                    imported: true,
                    hint: None,
                });
            }
        }
        self.replace_ledger(requests, Vec::new(), last, events);
        Ok(())
    }

    /// Returns the device that a foreign state is about. Fails as [`Self::import`] does, so that a VMM that reads one
    /// connector at a time can report the error at once. Does not count the marked removals.
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

    /// Returns whether foreign states are enough, and a saved state has nothing to add: nothing is armed, no removal is
    /// wanted, and no id was given that must not be given again (PUE-V-086). A VMM that offers nothing any more (see
    /// [`Self::set_offer`]) does without the ids, because it is about to migrate to a VMM without this crate.
    pub fn is_plain(&self) -> bool {
        let keeps_ids = self.has_history() && (self.config.offer.is_some() || self.offered.is_some());
        self.armed == Classes::empty() && !self.topology.is_any_wanted() && !keeps_ids
    }

    fn has_history(&self) -> bool {
        self.ledger.last().id.0 > 0
    }

    /// Returns [`Foreign::unplug_requested`] for this connector: whether a request for its device is open (PUE-V-083).
    pub fn is_unplug_requested(&self, index: DrcIndex) -> bool {
        let device = self.topology.connector(index).and_then(|(_, device)| device);
        device.is_some_and(|plugged| plugged.open > 0)
    }
}
