// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saving and restoring.
//!
//! A saved state is a byte stream, all numbers big endian:
//!
//! | record | bytes | content |
//! |---|---|---|
//! | header | 44 | "PUES", version, what is armed, what was offered, the last request name and token, two counts |
//! | for each device | 16 | first connector, number of connectors, whether its removal is wanted, number of runs |
//! | .. for each run | 8 | LoPAR's number of a state, and how many consecutive connectors are in it |
//! | for each request | 20 | name, first connector of its device, hint, token, flags: promised 1, started 2, hinted 4 |
//!
//! [`Tracker::restore`] expects a machine with the very devices that the saved one had. It checks the whole stream before
//! it changes anything; what it cannot take is an error that says why (PUE-V-084).

mod record;

use crate::{
    Request, Tracker,
    drc::{Kind, State},
    event::{Device, RequestId},
    offer,
    tracker::Plugged,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features, Offer},
        rtas::Indicator,
        token::Token,
    },
};
use record::{HINTED, MAGIC, PROMISED, STARTED, take};
use std::collections::HashSet;
use zerocopy::IntoBytes as _;

/// The version that is written. Every version up to it is read; this is the first.
pub const VERSION: u16 = 1;

/// Why a saved state was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The stream ends before what it announces.
    #[error("the saved state is cut off")]
    CutOff,
    /// The stream goes on behind its end.
    #[error("the saved state has {0} bytes too many")]
    TooLong(usize),
    /// It is something else.
    #[error("this is no saved state of DR connectors")]
    NotASnapshot,
    /// It was saved by another version of this crate.
    #[error(
        "the saved state has version {0}, and versions 1 to {VERSION} are understood; update the VMM that restores it"
    )]
    UnknownVersion(u16),
    /// The guest was offered reports, and this VMM takes none (PUE-V-085).
    #[error("the guest was offered reports, which this VMM is configured not to take; configure an offer")]
    ReportsNotTaken,
    /// No guest can have been offered this, or have armed that.
    #[error("what the guest was offered and what it armed do not fit together")]
    BadOffer,
    /// The machine that restores has other devices than the one that was saved.
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
    /// More requests were open than this VMM takes.
    #[error("{0} requests were open, and this VMM is configured to take {1}")]
    TooManyRequests(u32, usize),
}

impl Tracker {
    /// Saves everything that a later answer depends on (PUE-V-080).
    ///
    /// The length depends on the number of devices and requests, and on how often the state changes along the connectors
    /// of a device.
    pub fn save(&self) -> Vec<u8> {
        let devices = self.topology.devices();
        let (armed, features) = self.armed();
        let (last_request, last_token) = self.ledger.last();
        let [indicator, offered_classes, offered_features] = match self.offered() {
            Some(offer) => [offer.indicator, offer.classes, offer.features],
            None => [0.into(); 3],
        };
        let header = record::Header {
            magic: MAGIC,
            version: VERSION.into(),
            armed_classes: armed.0.into(),
            armed_features: u32::from(features.0).into(),
            indicator,
            offered_classes,
            offered_features,
            last_request: last_request.0.into(),
            last_token: u32::from(last_token.0).into(),
            devices: count(devices.len()).into(),
            requests: count(self.requests().len()).into(),
        };
        let mut bytes = header.as_bytes().to_vec();
        devices.iter().for_each(|plugged| self.save_device(plugged, &mut bytes));
        self.requests().iter().for_each(|request| save_request(request, &mut bytes));
        bytes
    }

    fn save_device(&self, plugged: &Plugged, bytes: &mut Vec<u8>) {
        let connectors = plugged.device.connectors;
        let runs = runs(connectors.indexes().filter_map(|index| self.state(index)));
        let device = record::Device {
            first: connectors.first().0.into(),
            count: connectors.count().into(),
            wanted: u32::from(plugged.wanted).into(),
            runs: count(runs.len()).into(),
        };
        bytes.extend_from_slice(device.as_bytes());
        for (state, length) in runs {
            let run = record::Run { state: u32::from(state.number()).into(), length: length.into() };
            bytes.extend_from_slice(run.as_bytes());
        }
    }

    /// Takes a saved state, for a machine that has the devices which the saved one had. Whatever it was before is forgotten.
    ///
    /// If it fails nothing has changed.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let mut rest = bytes;
        let header: &record::Header = take(&mut rest)?;
        if header.magic != MAGIC {
            return Err(RestoreError::NotASnapshot);
        }
        if header.version.get() != VERSION {
            return Err(RestoreError::UnknownVersion(header.version.get()));
        }
        let (offered, armed, features) = self.read_terms(header)?;
        let devices = self.read_devices(header.devices.get(), &mut rest)?;
        let (id, token) = (RequestId(header.last_request.get()), Token::from_hotplug_token(header.last_token.get()));
        // Names are never used twice, so there must be room for more.
        if id.0 > u64::MAX / 2 || u32::from(token.0) != header.last_token.get() {
            return Err(RestoreError::BadRequest(id));
        }
        let requests = self.read_requests(header.requests.get(), id, armed, &devices, &mut rest)?;
        if !rest.is_empty() {
            return Err(RestoreError::TooLong(rest.len()));
        }

        (self.offered, self.armed, self.features) = (offered, armed, features);
        for restored in &devices {
            self.topology.restore(restored.device, restored.wanted, restored.states());
        }
        for request in &requests {
            self.count_open(request.device, 1);
        }
        self.ledger = self.ledger.with(requests, (id, token));
        Ok(())
    }

    /// PUE-V-085
    fn read_terms(&self, header: &record::Header) -> Result<(Option<Offer>, Classes, Features), RestoreError> {
        let bad = |_| RestoreError::BadOffer;
        let classes = Classes(u16::try_from(header.offered_classes.get()).map_err(bad)?);
        let features = Features(u8::try_from(header.offered_features.get()).map_err(bad)?);
        let armed = Classes(header.armed_classes.get());
        let armed_features = Features(u8::try_from(header.armed_features.get()).map_err(bad)?);
        let offered = match header.indicator.get() {
            0 => None,
            indicator => Some(offer(Indicator(indicator), classes, features).ok_or(RestoreError::BadOffer)?),
        };
        let is_armed_as_offered = classes.contains(armed) && features.contains(armed_features);
        let offers_nothing = classes.is_empty() && features.is_empty();
        let arms_features_alone = armed.is_empty() && armed_features != Features::empty();
        if !is_armed_as_offered || arms_features_alone || (offered.is_none() && !offers_nothing) {
            return Err(RestoreError::BadOffer);
        }
        if offered.is_some() && self.config.offer.is_none() {
            return Err(RestoreError::ReportsNotTaken);
        }
        Ok((offered, armed, armed_features))
    }

    fn read_devices(&self, number: u32, rest: &mut &[u8]) -> Result<Vec<Restored>, RestoreError> {
        let plugged = self.topology.devices();
        if number != count(plugged.len()) {
            return Err(RestoreError::OtherNumberOfDevices(number, plugged.len()));
        }
        plugged.iter().map(|plugged| Restored::read(plugged.device, rest)).collect()
    }

    fn read_requests(
        &self,
        number: u32,
        last: RequestId,
        armed: Classes,
        devices: &[Restored],
        rest: &mut &[u8],
    ) -> Result<Vec<Request>, RestoreError> {
        let bound = self.ledger.bound();
        if number > count(bound) {
            return Err(RestoreError::TooManyRequests(number, bound));
        }
        let mut requests: Vec<Request> = Vec::new();
        let (mut tokens, mut asked) = (HashSet::new(), HashSet::new());
        for _ in 0..number {
            let request = read_request(take(rest)?, armed, devices)?;
            let is_next = requests.last().is_none_or(|before| before.id < request.id);
            let is_named_alone = !request.token.is_some() || tokens.insert(request.token);
            // PUE-V-041
            let is_oldest = asked.insert(request.device.connectors.first());
            let is_hinted = request.hint.is_some();
            if !is_next || !is_named_alone || (is_hinted && !is_oldest) || request.id > last {
                return Err(RestoreError::BadRequest(request.id));
            }
            requests.push(request);
        }
        Ok(requests)
    }
}

/// What a stream says about one device.
struct Restored {
    device: Device,
    wanted: bool,
    runs: Vec<(State, u32)>,
}

impl Restored {
    fn read(device: Device, rest: &mut &[u8]) -> Result<Self, RestoreError> {
        let record: &record::Device = take(rest)?;
        let (first, number) = (device.connectors.first(), device.connectors.count());
        if (record.first.get(), record.count.get()) != (first.0, number) {
            return Err(RestoreError::OtherDevice(DrcIndex(record.first.get())));
        }
        let bad = RestoreError::BadDevice(first);
        let mut runs: Vec<(State, u32)> = Vec::new();
        let mut missing = number;
        for _ in 0..record.runs.get() {
            let run: &record::Run = take(rest)?;
            let state = State::from_number(run.state.get()).ok_or(bad)?;
            missing = missing.checked_sub(run.length.get()).ok_or(bad)?;
            let is_another = runs.last().is_none_or(|(before, _)| *before != state);
            if run.length.get() == 0 || !is_another || Kind::of(device.resource) != Some(state.kind()) {
                return Err(bad);
            }
            runs.push((state, run.length.get()));
        }
        let wanted = record.wanted.get() == 1;
        // A device that is wanted and all given back is gone.
        let is_gone = wanted && runs.iter().all(|(state, _)| state.is_given_back());
        if missing != 0 || is_gone || record.wanted.get() > 1 {
            return Err(bad);
        }
        Ok(Self { device, wanted, runs })
    }

    fn states(&self) -> impl Iterator<Item = State> {
        self.runs.iter().flat_map(|(state, length)| (0..*length).map(|_| *state))
    }
}

fn read_request(record: &record::Request, armed: Classes, devices: &[Restored]) -> Result<Request, RestoreError> {
    let id = RequestId(record.id.get());
    let first = DrcIndex(record.device.get());
    let at = devices.binary_search_by_key(&first, |restored| restored.device.connectors.first());
    let restored = at.ok().and_then(|at| devices.get(at)).ok_or(RestoreError::BadRequest(id))?;
    let flags = record.flags.get();
    let is_hinted = flags & HINTED != 0;
    let request = Request {
        id,
        device: restored.device,
        token: Token(record.token.get()),
        promised: flags & PROMISED != 0,
        started: flags & STARTED != 0,
        hint: is_hinted.then(|| DrcIndex(record.hint.get())),
    };
    let class = Classes::of(restored.device.resource);
    let is_armed = armed.contains(class);
    // "Level 0" has hints on logical connectors only.
    let can_hint = is_armed && Kind::of(restored.device.resource) == Some(Kind::Logical);
    let is_possible = id.0 != 0
        && restored.wanted
        && flags & !(PROMISED | STARTED | HINTED) == 0
        // PUE-V-025, PUE-V-026
        && (!request.token.is_some() || crate::tracker::TOKENS.contains(class))
        && (!request.promised || (request.token.is_some() && is_armed))
        // PUE-V-041
        && request.hint.map_or(record.hint.get() == 0, |hint| can_hint && restored.device.connectors.contains(hint));
    if is_possible { Ok(request) } else { Err(RestoreError::BadRequest(id)) }
}

fn save_request(request: &Request, bytes: &mut Vec<u8>) {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let flags =
        flag(request.promised, PROMISED) | flag(request.started, STARTED) | flag(request.hint.is_some(), HINTED);
    let record = record::Request {
        id: request.id.0.into(),
        device: request.device.connectors.first().0.into(),
        hint: request.hint.map_or(0, |hint| hint.0).into(),
        token: request.token.0.into(),
        flags: flags.into(),
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

/// A length as it is written. None exceeds 32 bits: connectors have 32-bit indexes.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
