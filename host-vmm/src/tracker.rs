// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tracker of all connectors, devices and removal requests of one machine.

mod ledger;
mod report;
mod request;
mod reset;
mod rtas;
mod topology;

pub use ledger::Request;
pub use request::RequestError;
pub use rtas::{Answer, Change};
pub use topology::TopologyError;

use crate::{
    config::{Config, Offer},
    drc::State,
    event::{Device, End, Event, Events, Evidence, Outcome, Refusal, RequestId},
    span::Span,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        reason::Reason,
        report::Errno,
    },
};
pub(crate) use ledger::{Ledger, Numbers};
pub(crate) use topology::{Plugged, Topology};

/// Connectors, devices and removal requests of one machine.
///
/// Calls that can cause events take the receiver of the events, and tell them before they return.
#[derive(Clone, Debug)]
pub struct Tracker {
    pub(crate) config: Config,
    /// Offer to the guest that runs now. It differs from the configured one only after a restore.
    pub(crate) offered: Option<Offer>,
    pub(crate) armed: Classes,
    pub(crate) features: Features,
    pub(crate) topology: Topology,
    pub(crate) ledger: Ledger,
}

impl Tracker {
    /// Largest number of connectors that a machine takes. A connector needs about 40 bytes of memory.
    pub const MAX_CONNECTORS: usize = 1 << 21;

    /// Number of outcomes that [`Self::outcomes`] keeps.
    pub const KEPT_OUTCOMES: usize = 64;

    /// Returns a machine without connectors.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            offered: config.offer,
            armed: Classes::empty(),
            features: Features::empty(),
            topology: Topology::default(),
            ledger: Ledger::new(),
        }
    }

    /// Adds connectors without a device, all or none.
    pub fn add_connectors(&mut self, resource: Resource, connectors: Span) -> Result<(), TopologyError> {
        self.topology.add(resource, connectors)
    }

    /// Removes connectors without a device, all or none, such as those of a PHB that is deleted.
    pub fn remove_connectors(&mut self, connectors: Span) -> Result<(), TopologyError> {
        self.topology.remove(connectors)
    }

    /// Plugs a device behind connectors that have none. The guest has not taken the device yet: send it a hot plug
    /// event, or call [`Self::boot`].
    pub fn plug(&mut self, connectors: Span) -> Result<(), TopologyError> {
        self.topology.plug(connectors)
    }

    /// Marks a device as configured, because the guest finds it in the device tree that it boots with.
    pub fn boot(&mut self, first: DrcIndex) {
        if let Some(device) = self.topology.device(first).map(|plugged| plugged.device) {
            self.make_ready(device);
        }
    }

    /// Takes a device away without asking the guest, because plugging it failed. Requests about it end as
    /// [`End::Removed`]. Returns whether there was such a device. Hot plug events that name the device and
    /// that the guest has not fetched are void.
    pub fn unplug(&mut self, first: DrcIndex, events: &mut impl Events) -> bool {
        self.end_all_of(first, End::Removed, events);
        self.topology.unplug(first).is_some()
    }

    /// Takes a device away that goes with another one which the guest has given back: what is behind a PHB. Requests
    /// about it end as [`End::Released`] (PUE-V-068). Returns whether there was such a device. Hot plug events that name
    /// the device and that the guest has not fetched are void.
    pub fn unplug_released(&mut self, first: DrcIndex, events: &mut impl Events) -> bool {
        self.end_all_of(first, End::Released, events);
        self.topology.unplug(first).is_some()
    }

    /// Returns the requests without an outcome, oldest first (PUE-V-101).
    pub fn requests(&self) -> &[Request] {
        self.ledger.requests()
    }

    /// Returns the id that a request of the last loaded state has now. A VMM that keeps ids beside a state, with hot plug
    /// events that the guest has not fetched, looks up each of them after a load.
    pub fn renumbered(&self, saved: RequestId) -> RequestId {
        self.ledger.renumbered(saved)
    }

    /// Returns the outcomes of the last [`Self::KEPT_OUTCOMES`] requests that ended, oldest first.
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = &Outcome> {
        self.ledger.outcomes()
    }

    /// Returns the number of requests that may be open at a time.
    pub fn max_open(&self) -> usize {
        self.config.max_open
    }

    /// Returns the classes and features that the guest has armed (PUE-V-101).
    pub fn armed(&self) -> (Classes, Features) {
        (self.armed, self.features)
    }

    /// Returns the offer to the guest that runs now.
    pub fn offered(&self) -> Option<Offer> {
        self.offered
    }

    /// Returns the state of a connector; `None` if there is no such connector.
    pub fn state(&self, index: DrcIndex) -> Option<State> {
        self.topology.connector(index).map(|(connector, _)| connector.state)
    }

    /// Returns the device behind a connector.
    pub fn device(&self, index: DrcIndex) -> Option<Device> {
        self.topology.connector(index)?.1.map(|plugged| plugged.device)
    }

    /// Ends a request that was taken out of the ledger.
    fn end(&mut self, request: &Request, end: End, events: &mut impl Events) {
        if let Some(plugged) = self.topology.device_mut(request.device.connectors.first()) {
            plugged.open = plugged.open.saturating_sub(1);
        }
        let outcome = Outcome { request: request.id, device: request.device, end };
        self.ledger.keep(outcome);
        events.tell(Event::Ended(outcome));
    }

    /// Ends every open request of a device. Returns their number.
    fn end_all_of(&mut self, first: DrcIndex, end: End, events: &mut impl Events) -> u32 {
        let mut ended: u32 = 0;
        while let Some(request) = self.ledger.take(|request| request.is_of(first)) {
            self.end(&request, end, events);
            ended = ended.saturating_add(1);
        }
        ended
    }

    pub(crate) fn make_ready(&mut self, device: Device) {
        if let Some(kind) = crate::drc::Kind::of(device.resource) {
            device.connectors.indexes().for_each(|index| self.topology.set_state(index, kind.ready()));
        }
    }
}

/// Returns the refusal that a hint at `connector` stands for.
fn inferred(connector: DrcIndex) -> End {
    let (reason, errno) = (Reason::UNATTRIBUTED, Errno(0));
    End::Refused(Refusal { connector, reason, errno, evidence: Evidence::Inferred })
}
