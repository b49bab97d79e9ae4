// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reset, CAS, and changes of the offer.

use super::{Tracker, inferred};
use crate::{
    config::Offer,
    event::{Cause, Deletion, End, Event, Events},
    wire::offer::{Classes, Features},
};

impl Tracker {
    /// Resets the machine. Every open request ends; devices of requests that the guest has not refused are deleted;
    /// every other device is configured; nothing is armed. The VMM discards all hot plug events that the guest has not
    /// fetched (PUE-V-070 to PUE-V-073).
    ///
    /// A VMM that resets the machine because it is about to load a saved state MUST NOT call this: the load replaces
    /// the state, see [`Self::restore`].
    pub fn reset(&mut self, events: &mut impl Events) {
        self.start_anew(End::Reset, Cause::Reset, events);
    }

    /// Does the same as [`Self::reset`] when the guest negotiates (`ibm,client-architecture-support`).
    pub fn cas(&mut self, events: &mut impl Events) {
        self.start_anew(End::Cas, Cause::Cas, events);
    }

    /// Changes what guests are offered from their next boot on. `None` also withdraws the offer to the guest that runs
    /// now, as if it had disarmed: its reports get -3.
    pub fn set_offer(&mut self, offer: Option<Offer>, events: &mut impl Events) {
        self.config.offer = offer;
        if offer.is_none() {
            self.offered = None;
            self.arm(Classes::empty(), Features::empty(), events);
        }
    }

    fn start_anew(&mut self, end: End, by: Cause, events: &mut impl Events) {
        self.offered = self.config.offer;
        (self.armed, self.features) = (Classes::empty(), Features::empty());
        while let Some(request) = self.ledger.take(|_| true) {
            if let Some(hint) = request.hint {
                self.end(&request, inferred(hint), events);
                continue;
            }
            let (device, first) = (request.device, request.device.connectors.first());
            self.end(&request, end, events);
            // A hint is only with the oldest request of a device, which this one is.
            let requests = self.end_all_of(first, end, events).saturating_add(1);
            self.topology.unplug(first);
            events.tell(Event::Deleted(Deletion { device, by, requests }));
        }
        for plugged in self.topology.devices() {
            if let Some(plugged) = self.topology.device_mut(plugged.device.connectors.first()) {
                (plugged.wanted, plugged.echo) = (false, false);
            }
            self.make_ready(plugged.device);
        }
    }
}
