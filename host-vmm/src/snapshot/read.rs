// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reader of a saved state. It checks everything, and changes nothing.

use super::{RestoreError, VERSION, count, record};
use crate::{
    Offer, Request, Span, Tracker,
    drc::{Kind, State},
    event::{Device, End, Evidence, Outcome, Refusal, RequestId},
    tracker::Numbers,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        reason::Reason,
        report::Errno,
        rtas::Indicator,
        token::Token,
    },
};
use alloc::vec::Vec;
use hashbrown::HashSet;
use record::{ECHO, HINTED, IMPORTED, MAGIC, PROMISED, STARTED, WANTED, WITHHELD, take};

/// Highest id that a saved state may have given last. Ids up to it are far from the end of 64 bits, and exact in JSON.
const MAX_ID: u64 = (1 << 53) - 1;

/// Content of a saved state.
pub(super) struct Saved {
    pub(super) offered: Option<Offer>,
    pub(super) armed: Classes,
    pub(super) features: Features,
    pub(super) devices: Vec<SavedDevice>,
    pub(super) requests: Vec<Request>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) last: Numbers,
}

/// Classes of which requests can have tokens and be promised.
#[derive(Clone, Copy)]
struct Promises {
    /// Classes that are armed with the feature TOKEN.
    armed: Classes,
    /// Classes of which requests can have tokens.
    tokens: Classes,
}

impl Saved {
    /// Reads a saved state for `machine`.
    pub(super) fn read(machine: &Tracker, bytes: &[u8]) -> Result<Self, RestoreError> {
        let mut rest = bytes;
        let header: &record::Header = take(&mut rest)?;
        if header.magic != MAGIC {
            return Err(RestoreError::NotASnapshot);
        }
        let version = header.version.get();
        if !(1..=VERSION).contains(&version) {
            return Err(RestoreError::UnknownVersion(version));
        }
        let (offered, armed, features) = read_terms(machine, header)?;
        let devices = read_devices(machine, header.devices.get(), &mut rest)?;
        let last = Numbers { id: RequestId(header.last_request.get()), tokens: header.tokens.get() };
        if last.id.0 > MAX_ID || last.tokens > MAX_ID {
            return Err(RestoreError::BadRequest(last.id));
        }
        let promises = Promises {
            armed: if features.contains(Features::TOKEN) { armed } else { Classes::empty() },
            tokens: if version == 1 { Classes::IN_KERNEL } else { Classes::all() },
        };
        let requests = read_requests(machine, header.requests.get(), last, promises, &devices, &mut rest)?;
        let outcomes = read_outcomes(header.outcomes.get(), last, &requests, &mut rest)?;
        if !rest.is_empty() {
            return Err(RestoreError::TooLong(rest.len()));
        }
        Ok(Self { offered, armed, features, devices, requests, outcomes, last })
    }
}

/// Reads what was offered and armed (PUE-V-085).
fn read_terms(machine: &Tracker, header: &record::Header) -> Result<(Option<Offer>, Classes, Features), RestoreError> {
    let bad = |_| RestoreError::BadOffer;
    let classes = Classes(u16::try_from(header.offered_classes.get()).map_err(bad)?);
    let features = Features(u8::try_from(header.offered_features.get()).map_err(bad)?);
    let armed = Classes(header.armed_classes.get());
    let armed_features = Features(u8::try_from(header.armed_features.get()).map_err(bad)?);
    let offered = match header.indicator.get() {
        0 => None,
        indicator => Some(Offer::new(Indicator(indicator), classes, features).ok_or(RestoreError::BadOffer)?),
    };
    let is_armed_as_offered = classes.contains(armed) && features.contains(armed_features);
    let offers_nothing = classes == Classes::empty() && features == Features::empty();
    let arms_features_alone = armed == Classes::empty() && armed_features != Features::empty();
    if !is_armed_as_offered || arms_features_alone || (offered.is_none() && !offers_nothing) {
        return Err(RestoreError::BadOffer);
    }
    if offered.is_some() && machine.config.offer.is_none() {
        return Err(RestoreError::ReportsNotTaken);
    }
    Ok((offered, armed, armed_features))
}

fn read_devices(machine: &Tracker, number: u32, rest: &mut &[u8]) -> Result<Vec<SavedDevice>, RestoreError> {
    let plugged = machine.topology.devices();
    if number != count(plugged.len()) {
        return Err(RestoreError::OtherNumberOfDevices(number, plugged.len()));
    }
    plugged.iter().map(|plugged| SavedDevice::read(plugged.device, rest)).collect()
}

fn read_requests(
    machine: &Tracker,
    number: u32,
    last: Numbers,
    promises: Promises,
    devices: &[SavedDevice],
    rest: &mut &[u8],
) -> Result<Vec<Request>, RestoreError> {
    let bound = machine.max_open();
    if number > count(bound) {
        return Err(RestoreError::TooManyRequests(number, bound));
    }
    let mut requests: Vec<Request> = Vec::new();
    let (mut ids, mut tokens, mut asked) = (HashSet::new(), HashSet::new(), HashSet::new());
    for _ in 0..number {
        let request = read_request(take(rest)?, promises, devices)?;
        let is_new = request.id <= last.id && ids.insert(request.id);
        let is_named_alone =
            !request.token.is_some() || (last.has_given(request.token) && tokens.insert(request.token));
        // PUE-V-041
        let is_oldest = request.withheld || asked.insert(request.device.connectors.first());
        if !is_new || !is_named_alone || (request.hint.is_some() && !is_oldest) {
            return Err(RestoreError::BadRequest(request.id));
        }
        requests.push(request);
    }
    Ok(requests)
}

fn read_request(
    record: &record::Request,
    promises: Promises,
    devices: &[SavedDevice],
) -> Result<Request, RestoreError> {
    let id = RequestId(record.id.get());
    let first = DrcIndex(record.device.get());
    let at = devices.binary_search_by_key(&first, |saved| saved.device.connectors.first());
    let saved = at.ok().and_then(|at| devices.get(at)).ok_or(RestoreError::BadRequest(id))?;
    let flags = record.flags.get();
    let request = Request {
        id,
        device: saved.device,
        token: Token(record.token.get()),
        promised: flags & PROMISED != 0,
        started: flags & STARTED != 0,
        withheld: flags & WITHHELD != 0,
        imported: flags & IMPORTED != 0,
        hint: (flags & HINTED != 0).then(|| DrcIndex(record.hint.get())),
    };
    let class = Classes::of(saved.device.resource);
    let is_possible = id.0 != 0
        && saved.wanted
        && flags & !(PROMISED | STARTED | HINTED | WITHHELD | IMPORTED) == 0
        // PUE-V-026
        && (!request.token.is_some() || (promises.tokens.contains(class) && !request.withheld && !request.imported))
        && (!request.promised || (request.token.is_some() && promises.armed.contains(class)))
        && !(request.withheld && (request.started || request.imported))
        // PUE-V-041
        && request.hint.map_or(record.hint.get() == 0, |hint| {
            request.promised && saved.device.connectors.contains(hint)
        });
    if is_possible { Ok(request) } else { Err(RestoreError::BadRequest(id)) }
}

fn read_outcomes(
    number: u32,
    last: Numbers,
    requests: &[Request],
    rest: &mut &[u8],
) -> Result<Vec<Outcome>, RestoreError> {
    let open = requests.iter().map(|request| request.id);
    let mut ids: HashSet<RequestId> = open.collect();
    let mut outcomes = Vec::new();
    for kept in 0..number {
        let outcome = read_outcome(take(rest)?)?;
        if count(Tracker::KEPT_OUTCOMES) <= kept || outcome.request > last.id || !ids.insert(outcome.request) {
            return Err(RestoreError::BadOutcome(outcome.request));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn read_outcome(record: &record::Outcome) -> Result<Outcome, RestoreError> {
    let request = RequestId(record.id.get());
    let bad = RestoreError::BadOutcome(request);
    let connectors = Span::new(DrcIndex(record.first.get()), record.count.get()).ok_or(bad)?;
    let resource = Resource(record.resource);
    let evidence = match record.evidence {
        1 => Some(Evidence::Token),
        2 => Some(Evidence::Order),
        3 => Some(Evidence::Inferred),
        _ => None,
    };
    let refusal = evidence.map(|evidence| {
        Refusal::new(DrcIndex(record.connector.get()), Reason(record.reason), Errno(record.errno), evidence)
    });
    let end = match (record.end, refusal) {
        (1, None) => End::Released,
        (2, Some(refusal)) => End::Refused(refusal),
        (3, None) => End::Reset,
        (4, None) => End::Cas,
        (5, None) => End::Removed,
        (6, None) => End::Withdrawn,
        (7, None) => End::Load,
        _ => return Err(bad),
    };
    let says_nothing =
        [record.connector.get(), record.reason.into(), record.errno.into(), record.evidence.into()] == [0; 4];
    let is_possible = request.0 != 0
        && record.zero == [0; 3]
        && Kind::of(resource).is_some()
        && refusal.map_or(says_nothing, |refusal| record.reason < 32 && connectors.contains(refusal.connector));
    if is_possible { Ok(Outcome::new(request, Device { resource, connectors }, end)) } else { Err(bad) }
}

/// Saved state of one device.
pub(super) struct SavedDevice {
    pub(super) device: Device,
    pub(super) wanted: bool,
    pub(super) echo: bool,
    runs: Vec<(State, u32)>,
}

impl SavedDevice {
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
        let flags = record.flags.get();
        let (wanted, echo) = (flags & WANTED != 0, flags & ECHO != 0);
        // A device that is wanted and given back wholly would have been deleted.
        let is_gone = wanted && runs.iter().all(|(state, _)| state.is_given_back());
        if missing != 0 || is_gone || flags & !(WANTED | ECHO) != 0 {
            return Err(bad);
        }
        Ok(Self { device, wanted, echo, runs })
    }

    /// Returns the states of the connectors, in their order.
    pub(super) fn states(&self) -> impl Iterator<Item = State> {
        self.runs.iter().flat_map(|(state, length)| (0..*length).map(|_| *state))
    }
}
