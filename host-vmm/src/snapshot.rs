// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saved states of a machine: save and restore.
//!
//! A saved state is a byte stream, all numbers big endian:
//!
//! | record | bytes | content |
//! |---|---|---|
//! | header | 52 | "PUES", version, what is armed, what was offered, last request id, number of tokens given, three counts |
//! | for each device | 16 | first connector, number of connectors, flags: removal wanted 1, report expected after a hint 2; number of runs |
//! | .. for each run | 8 | LoPAR's number of a state, number of consecutive connectors that have it |
//! | for each open request | 20 | id, first connector of its device, connector of the hint, token, flags: promised 1, started 2, hinted 4, withheld 8, imported 16 |
//! | for each kept outcome | 28 | id, first connector and number of connectors of its device, connector that refused, resource, end, reason, errno, evidence |
//!
//! Requests and outcomes are in their order, oldest first. [`Tracker::restore`] takes a stream on a machine with the
//! same devices as the saved one. It checks the whole stream before it changes anything; its error says what does not
//! fit (PUE-V-084). It allocates no more than the stream is long, and [`Tracker::max_saved_len`] is the length of the
//! longest stream that it takes.

mod read;
mod record;

use crate::{
    Request, Tracker,
    drc::State,
    event::{End, Events, Evidence, Outcome, RequestId},
    tracker::{Ledger, Plugged},
    wire::{drc::DrcIndex, offer::Classes},
};
use alloc::vec::Vec;
use read::Saved;
use record::{HINTED, IMPORTED, MAGIC, PROMISED, STARTED, WITHHELD};
use zerocopy::IntoBytes as _;

/// Highest version of the stream that [`Tracker::save`] writes and [`Tracker::restore`] reads. Version 1 is read too.
///
/// A stream has version 2 if the guest was offered, or knows by tokens, requests of a class that an earlier crate gives no
/// tokens: slots, PHBs and PCI functions. An earlier crate rejects it by its version. All other streams have version 1,
/// and an earlier crate restores them.
pub const VERSION: u16 = 2;

/// Error of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The stream ends too early.
    #[error("the saved state is cut off")]
    CutOff,
    /// The stream has bytes after its last record.
    #[error("the saved state has {0} bytes too many")]
    TooLong(usize),
    /// The bytes are no saved state.
    #[error("this is no saved state of DR connectors")]
    NotASnapshot,
    /// Another version of this crate saved the state.
    #[error(
        "the saved state has version {0}, and versions up to {VERSION} are understood; update the VMM that restores it"
    )]
    UnknownVersion(u16),
    /// The guest was offered reports, and this VMM takes none (PUE-V-085).
    #[error("the guest was offered reports, which this VMM is configured not to take; configure an offer")]
    ReportsNotTaken,
    /// No guest can have been offered this, or have armed it.
    #[error("what the guest was offered and what it armed do not fit together")]
    BadOffer,
    /// The machine that restores has another number of devices than the saved one.
    #[error("{0} devices were saved, and this machine has {1}; plug the same devices before restoring")]
    OtherNumberOfDevices(u32, usize),
    /// The machine that restores does not have this device.
    #[error("the device at connector {0} was saved, and this machine has no such device; plug it before restoring")]
    OtherDevice(DrcIndex),
    /// No device can be in this state.
    #[error("the saved state of the device at connector {0} is not possible")]
    BadDevice(DrcIndex),
    /// No request can be in this state.
    #[error("the saved state of request {0} is not possible")]
    BadRequest(RequestId),
    /// No request can have this outcome.
    #[error("the saved outcome of request {0} is not possible")]
    BadOutcome(RequestId),
    /// More requests were open than this VMM takes.
    #[error("{0} requests were open, and this VMM is configured to take {1}")]
    TooManyRequests(u32, usize),
}

impl Tracker {
    /// Returns the saved state: everything that a later answer depends on, the last outcomes, and which ids were given
    /// (PUE-V-080).
    ///
    /// The length depends on the number of devices, requests and kept outcomes, and on how often the state changes
    /// along the connectors of a device.
    pub fn save(&self) -> Vec<u8> {
        let devices = self.topology.devices();
        let (armed, features) = self.armed();
        let last = self.ledger.last();
        let [indicator, classes, offered_features] = match self.offered() {
            Some(offer) => {
                [offer.indicator().0, u32::from(offer.classes().0), u32::from(offer.features().0)].map(Into::into)
            }
            None => [0.into(); 3],
        };
        let header = record::Header {
            magic: MAGIC,
            version: self.version().into(),
            armed_classes: armed.0.into(),
            armed_features: u32::from(features.0).into(),
            indicator,
            offered_classes: classes,
            offered_features,
            last_request: last.id.0.into(),
            tokens: last.tokens.into(),
            devices: count(devices.len()).into(),
            requests: count(self.requests().len()).into(),
            outcomes: count(self.outcomes().len()).into(),
        };
        let mut bytes = header.as_bytes().to_vec();
        devices.iter().for_each(|plugged| self.save_device(plugged, &mut bytes));
        self.requests().iter().for_each(|request| save_request(request, &mut bytes));
        self.outcomes().for_each(|outcome| save_outcome(outcome, &mut bytes));
        bytes
    }

    /// Returns the length of the longest saved state that [`Self::restore`] takes on this machine. A VMM checks the
    /// length that a stream announces against it before it allocates memory for the stream.
    pub fn max_saved_len(&self) -> usize {
        let devices = self.topology.devices();
        let connectors = devices.iter().map(|plugged| usize::try_from(plugged.device.connectors.count()).unwrap_or(0));
        let parts = [
            size_of::<record::Header>(),
            devices.len().saturating_mul(size_of::<record::Device>()),
            connectors.sum::<usize>().saturating_mul(size_of::<record::Run>()),
            self.max_open().saturating_mul(size_of::<record::Request>()),
            Self::KEPT_OUTCOMES.saturating_mul(size_of::<record::Outcome>()),
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// Returns the lowest version of a stream that says all of the state.
    fn version(&self) -> u16 {
        let offered = self.offered().map_or(Classes::empty(), |offer| offer.classes());
        let is_later = |classes: Classes| classes.intersects(Classes::IN_USER_SPACE);
        let has_later_token =
            |request: &Request| request.token.is_some() && is_later(Classes::of(request.device.resource));
        if is_later(offered) || self.requests().iter().any(has_later_token) { VERSION } else { 1 }
    }

    fn save_device(&self, plugged: &Plugged, bytes: &mut Vec<u8>) {
        let connectors = plugged.device.connectors;
        let runs = runs(connectors.indexes().filter_map(|index| self.state(index)));
        let device = record::Device {
            first: connectors.first().0.into(),
            count: connectors.count().into(),
            flags: (u32::from(plugged.wanted) | u32::from(plugged.echo) << 1).into(),
            runs: count(runs.len()).into(),
        };
        bytes.extend_from_slice(device.as_bytes());
        for (state, length) in runs {
            let run = record::Run { state: u32::from(state.number()).into(), length: length.into() };
            bytes.extend_from_slice(run.as_bytes());
        }
    }

    /// Checks that [`Self::restore`] takes a saved state on this machine.
    pub fn check_saved(&self, bytes: &[u8]) -> Result<(), RestoreError> {
        Saved::read(self, bytes).map(|_| ())
    }

    /// Restores a saved state, on a machine with the same devices as the saved one. The saved state replaces the state
    /// of the machine, and no device is deleted. A call that fails changes nothing.
    ///
    /// Requests that were open before and are not open in the saved state end as [`End::Load`]. A request of the saved
    /// state keeps its id, unless this machine used that id for another request, or for one that has ended: then the
    /// request gets a new id. So no id is used twice, also not when a snapshot is loaded into the machine that saved
    /// it.
    pub fn restore(&mut self, bytes: &[u8], events: &mut impl Events) -> Result<(), RestoreError> {
        let saved = Saved::read(self, bytes)?;
        (self.offered, self.armed, self.features) = (saved.offered, saved.armed, saved.features);
        for device in &saved.devices {
            let open = saved.requests.iter().filter(|request| request.is_of(device.device.connectors.first())).count();
            self.topology.restore(device.device, device.wanted, count(open), device.states());
            if let Some(plugged) = self.topology.device_mut(device.device.connectors.first()) {
                plugged.echo = device.echo;
            }
        }
        let last = saved.last.with_tokens_of(self.ledger.last());
        self.replace_ledger(saved.requests, saved.outcomes, last, events);
        Ok(())
    }

    /// Replaces the requests by loaded ones, whose number of open requests is counted already.
    pub(crate) fn replace_ledger(
        &mut self,
        mut loaded: Vec<Request>,
        outcomes: Vec<Outcome>,
        last: crate::tracker::Numbers,
        events: &mut impl Events,
    ) {
        let before = self.ledger.clone();
        let here = before.last();
        let is_same =
            |one: &Request, other: &Request| (one.id, one.device, one.token) == (other.id, other.device, other.token);
        let goes_on = |request: &Request| before.requests().iter().any(|open| is_same(open, request));
        let stays = |request: &Request| request.id > here.id || goes_on(request);
        let replaced: Vec<Request> = before
            .requests()
            .iter()
            .filter(|open| !loaded.iter().any(|request| is_same(open, request)))
            .copied()
            .collect();
        let mut ended: Vec<Outcome> = before.outcomes().copied().collect();
        ended.extend(outcomes.into_iter().filter(|outcome| outcome.request > here.id));
        let mut numbers = last.max(here.id);
        let mut renumbered = Vec::new();
        for request in loaded.iter_mut().filter(|request| !stays(request)) {
            numbers.id = numbers.id.next();
            renumbered.push((request.id, numbers.id));
            request.id = numbers.id;
        }
        self.ledger = Ledger::with(loaded, numbers, renumbered);
        ended.into_iter().for_each(|outcome| self.ledger.keep(outcome));
        for request in replaced {
            let outcome = Outcome { request: request.id, device: request.device, end: End::Load };
            self.ledger.keep(outcome);
            events.tell(crate::event::Event::Ended(outcome));
        }
    }
}

fn save_request(request: &Request, bytes: &mut Vec<u8>) {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let flags = flag(request.promised, PROMISED)
        | flag(request.started, STARTED)
        | flag(request.hint.is_some(), HINTED)
        | flag(request.withheld, WITHHELD)
        | flag(request.imported, IMPORTED);
    let record = record::Request {
        id: request.id.0.into(),
        device: request.device.connectors.first().0.into(),
        hint: request.hint.map_or(0, |hint| hint.0).into(),
        token: request.token.0.into(),
        flags: flags.into(),
    };
    bytes.extend_from_slice(record.as_bytes());
}

fn save_outcome(outcome: &Outcome, bytes: &mut Vec<u8>) {
    let refusal = match outcome.end {
        End::Refused(refusal) => Some(refusal),
        _ => None,
    };
    let record = record::Outcome {
        id: outcome.request.0.into(),
        first: outcome.device.connectors.first().0.into(),
        count: outcome.device.connectors.count().into(),
        connector: refusal.map_or(0, |refusal| refusal.connector.0).into(),
        resource: outcome.device.resource.0,
        end: match outcome.end {
            End::Released => 1,
            End::Refused(_) => 2,
            End::Reset => 3,
            End::Cas => 4,
            End::Removed => 5,
            End::Withdrawn => 6,
            End::Load => 7,
        },
        reason: refusal.map_or(0, |refusal| refusal.reason.0),
        errno: refusal.map_or(0, |refusal| refusal.errno.0),
        evidence: refusal.map_or(0, |refusal| match refusal.evidence {
            Evidence::Token => 1,
            Evidence::Order => 2,
            Evidence::Inferred => 3,
        }),
        zero: [0; 3],
    };
    bytes.extend_from_slice(record.as_bytes());
}

fn runs(states: impl Iterator<Item = State>) -> Vec<(State, u32)> {
    let mut runs: Vec<(State, u32)> = Vec::new();
    for state in states {
        match runs.last_mut() {
            Some((last, length)) if *last == state => *length = length.saturating_add(1),
            _ => runs.push((state, 1)),
        }
    }
    runs
}

/// Returns a length as a 32-bit number. No length exceeds 32 bits, because connectors have 32-bit indexes.
pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
