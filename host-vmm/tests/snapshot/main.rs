// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saved states: a pinned stream of version 1, and streams that are no state.

#[path = "../oracle/mod.rs"]
pub mod oracle;

use oracle::{
    machine::{DEVICES, OFFERS, config, span},
    stream::stream,
    subject,
};
use papr_unplug::{
    Config, Span, Tracker,
    drc::State,
    event::{Ask, Device as Plugged, End, Event, Outcome, RequestId, Requested},
    snapshot::RestoreError,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        reason::Reason,
        rtas::Status,
        token::Token,
    },
};
use papr_unplug_model::{
    machine::Device,
    reference::{Reference, Request},
};
use proptest::prelude::*;

const CPU0: Device = DEVICES[0];
const CPU1: Device = DEVICES[1];
const DIMM: Device = DEVICES[3];
const PMEM: Device = DEVICES[5];
const FUNCTION: Device = DEVICES[6];
const PLUGGED: [Device; 5] = [CPU0, CPU1, DIMM, PMEM, FUNCTION];

/// Returns the pinned stream.
fn golden() -> Vec<u8> {
    let digits: String = include_str!("version-1.hex").lines().filter(|line| !line.starts_with('#')).collect();
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Returns a machine that waits for a migration.
fn waiting() -> Tracker {
    subject::machine(Some(OFFERS[0]), &PLUGGED)
}

fn call(machine: &mut Tracker, words: [u32; 3]) {
    assert_eq!(machine.set_indicator(&words, &mut ()), Status::SUCCESS, "{words:x?}");
}

/// Returns a machine with requests of every kind: before arming, promised, begun and hinted, without a token, refused.
fn lived() -> Tracker {
    let mut machine = waiting();
    [CPU0, DIMM, PMEM, FUNCTION].iter().for_each(|device| machine.boot(device.first));
    let mut asked = vec![ask(&mut machine, CPU0)];
    call(&mut machine, [9100, 0, 0x2003_0006]);
    asked.push(ask(&mut machine, DIMM));
    call(&mut machine, [9001, DIMM.first.0, 0]);
    call(&mut machine, [9003, DIMM.first.0, 0]);
    call(&mut machine, [9100, DIMM.first.0, 0x6000_0001]);
    call(&mut machine, [9001, DIMM.last().0, 1]);
    asked.extend([DIMM, FUNCTION, PMEM].map(|device| ask(&mut machine, device)));
    assert!(asked.iter().all(|one| matches!(one, Requested::Ask(_))));
    call(&mut machine, [9001, PMEM.first.0, 1]);
    machine
}

fn ask(machine: &mut Tracker, device: Device) -> Requested {
    machine.request(device.first, &mut ()).unwrap()
}

/// Returns the pinned stream with another version.
fn golden_of(version: u16) -> Vec<u8> {
    let mut bytes = golden();
    bytes[4..6].copy_from_slice(&version.to_be_bytes());
    bytes
}

/// PUE-V-080: if this fails after version 1 was released, raise the version and go on reading the old one.
///
/// A guest that was offered reports about PCI functions expects tokens in their events, so that the version is 2.
#[test]
fn golden_stream_is_what_is_saved() {
    assert_eq!(lived().save(), golden_of(2));
}

/// PUE-V-085: a VMM with an earlier crate takes what it can continue, and rejects by its version what it cannot.
#[test]
fn stream_has_version_1_unless_a_guest_expects_tokens_of_slots_phbs_or_functions() {
    let version = |offer| subject::machine(Some(offer), &PLUGGED).save()[5];
    assert_eq!(OFFERS.map(version), [2, 1, 2]);
    // The offer is withdrawn, and the guest may still report by the token.
    let mut machine = waiting();
    machine.boot(FUNCTION.first);
    call(&mut machine, [9100, 0, 0x2001_0020]);
    assert!(matches!(ask(&mut machine, FUNCTION), Requested::Ask(Ask { token: Token(1), .. })));
    machine.set_offer(None, &mut ());
    let mut saved = machine.save();
    assert_eq!(saved[4..6], [0, 2]);
    assert_eq!(subject::machine(None, &PLUGGED).restore(&saved, &mut ()), Ok(()));
    saved[5] = 1;
    let expected = Err(RestoreError::BadRequest(RequestId(1)));
    assert_eq!(subject::machine(None, &PLUGGED).restore(&saved, &mut ()), expected);
}

/// PUE-V-080
#[test]
fn golden_stream_restores_all_that_later_answers_depend_on() {
    let mut machine = waiting();
    machine.restore(&golden(), &mut ()).unwrap();
    let requests: Vec<_> =
        machine.requests().iter().map(|one| (one.id.0, one.device.connectors, one.token.0)).collect();
    assert_eq!(requests, [(1, span(CPU0), 0), (2, span(DIMM), 1), (3, span(DIMM), 2), (4, span(FUNCTION), 0)]);
    let flags: Vec<_> = machine.requests().iter().map(|one| (one.promised, one.started, one.hint)).collect();
    let hinted = (true, true, Some(DIMM.last()));
    assert_eq!(flags, [(false, false, None), hinted, (true, false, None), (false, false, None)]);
    let states = [CPU0.first.0, CPU1.first.0, DIMM.first.0, DIMM.last().0, PMEM.first.0, FUNCTION.first.0]
        .map(|index| machine.state(DrcIndex(index)));
    let expected = [
        State::LogicalConfigured,
        State::LogicalUnusable,
        State::LogicalUnusable,
        State::LogicalConfigured,
        State::LogicalConfigured,
        State::PhysicalConfigured,
    ];
    assert_eq!(states, expected.map(Some));
    assert_eq!(machine.armed(), (Classes::CPU | Classes::MEMORY, Features::TOKEN | Features::STARTED));
    let outcomes: Vec<_> = machine.outcomes().map(|outcome| (outcome.request.0, outcome.device.connectors)).collect();
    assert_eq!(outcomes, [(5, span(PMEM))]);
}

/// PUE-V-061, PUE-V-081, PUE-V-086: the removal that was refused is still wanted, and the next ids are new.
#[test]
fn restored_machine_goes_on_where_the_saved_one_was() {
    let mut machine = waiting();
    machine.restore(&golden(), &mut ()).unwrap();
    let mut events = Vec::new();
    assert_eq!(machine.set_indicator(&[9100, DIMM.last().0, 0x8610_0001], &mut events), Status::SUCCESS);
    assert!(matches!(
        events.pop(),
        Some(Event::Ended(Outcome { request: RequestId(2), end: End::Refused(refusal), .. }))
            if refusal.reason == Reason::UNMOVABLE_PAGE
    ));
    assert_eq!(machine.set_indicator(&[9001, PMEM.first.0, 0], &mut events), Status::SUCCESS);
    assert_eq!(machine.set_indicator(&[9003, PMEM.first.0, 0], &mut events), Status::SUCCESS);
    assert!(matches!(events.pop(), Some(Event::Deleted(gone)) if gone.device.connectors == span(PMEM)));
    let asked = ask(&mut machine, DIMM);
    assert!(matches!(asked, Requested::Ask(Ask { request: RequestId(6), token: Token(3), .. })));
}

/// PUE-V-084
#[test]
fn truncated_stream_is_cut_off_wherever_it_ends() {
    let (golden, mut machine) = (golden(), lived());
    let before = machine.save();
    for length in 0..golden.len() {
        assert_eq!(machine.restore(&golden[..length], &mut ()), Err(RestoreError::CutOff), "{length} bytes");
    }
    assert_eq!(machine.restore(&[golden, vec![0; 3]].concat(), &mut ()), Err(RestoreError::TooLong(3)));
    assert_eq!(machine.save(), before);
}

/// Checks that a machine that waits takes the bytes only if they are a state, and that a machine that runs is not
/// changed if they are none.
fn is_taken_as_what_it_is(machine: &Tracker, bytes: &[u8]) {
    let (before, mut after, mut fresh) = (machine.save(), machine.clone(), waiting());
    let is_taken = fresh.restore(bytes, &mut ()).is_ok();
    assert_eq!(after.restore(bytes, &mut ()).is_ok(), is_taken);
    let same_but_for_version = |saved: &[u8]| (&saved[..4], &saved[6..]) == (&bytes[..4], &bytes[6..]);
    assert!(if is_taken { same_but_for_version(&fresh.save()) } else { after.save() == before });
    [fresh, after].iter().for_each(subject::is_possible);
}

/// PUE-V-084
#[test]
fn stream_with_any_one_byte_changed_is_another_state_or_none() {
    let (golden, machine) = (golden(), lived());
    let step = if cfg!(miri) { 53 } else { 1 };
    for at in 0..golden.len() {
        for change in (1..=u8::MAX).step_by(step) {
            let mut bytes = golden.clone();
            bytes[at] ^= change;
            is_taken_as_what_it_is(&machine, &bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 10 } else { 5_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// PUE-V-084
    #[test]
    fn stream_with_some_bytes_changed_is_another_state_or_none(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..9_u8, any::<u8>()]), 1..6),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = golden();
        let length = bytes.len();
        changes.iter().for_each(|(at, byte)| bytes[at.index(length)] = *byte);
        bytes.truncate(cut.map_or(usize::MAX, |cut| cut.index(length)));
        is_taken_as_what_it_is(&lived(), &bytes);
    }

    /// PUE-V-084
    #[test]
    fn random_bytes_are_another_state_or_none(
        start in 0..50_usize,
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        is_taken_as_what_it_is(&lived(), &[&golden()[..start], &noise].concat());
    }
}

/// Restores the golden stream after some bytes were overwritten.
fn answer(at: usize, with: &[u8]) -> Result<(), RestoreError> {
    let mut bytes = golden();
    bytes[at..at + with.len()].copy_from_slice(with);
    waiting().restore(&bytes, &mut ())
}

/// PUE-V-084: the error says what is wrong. Offsets are those of the table in `papr_unplug::snapshot`.
#[test]
fn error_says_what_is_wrong() {
    assert_eq!(answer(0, b"QEMU"), Err(RestoreError::NotASnapshot));
    assert_eq!(answer(4, &[0, 3]), Err(RestoreError::UnknownVersion(3)));
    assert_eq!(answer(4, &[0, 0]), Err(RestoreError::UnknownVersion(0)));
    // Armed what was not offered; offered on an indicator that is LoPAR's.
    assert_eq!(answer(6, &[0x80, 0]), Err(RestoreError::BadOffer));
    assert_eq!(answer(12, &9001_u32.to_be_bytes()), Err(RestoreError::BadOffer));
    // The last id is lower than that of an open request, or too high; a token of an open request was not given.
    assert_eq!(answer(24, &1_u64.to_be_bytes()), Err(RestoreError::BadRequest(RequestId(2))));
    assert_eq!(answer(24, &(1_u64 << 53).to_be_bytes()), Err(RestoreError::BadRequest(RequestId(1 << 53))));
    assert_eq!(answer(32, &1_u64.to_be_bytes()), Err(RestoreError::BadRequest(RequestId(3))));
    assert_eq!(answer(40, &[0, 0, 0, 4]), Err(RestoreError::OtherNumberOfDevices(4, 5)));
    assert_eq!(answer(44, &[0xFF; 4]), Err(RestoreError::TooManyRequests(u32::MAX, oracle::machine::BOUND)));
    assert_eq!(answer(52, &[0, 0, 0, 7]), Err(RestoreError::OtherDevice(DrcIndex(7))));
    // A physical state of a CPU; more connectors than it has.
    assert_eq!(answer(68, &[0, 0, 0, 8]), Err(RestoreError::BadDevice(CPU0.first)));
    assert_eq!(answer(72, &[0, 0, 0, 2]), Err(RestoreError::BadDevice(CPU0.first)));
    // The outcome of a request that is open, of one that was never made, and one that no request can have.
    let outcome = golden().len() - 28;
    assert_eq!(answer(outcome, &2_u64.to_be_bytes()), Err(RestoreError::BadOutcome(RequestId(2))));
    assert_eq!(answer(outcome, &6_u64.to_be_bytes()), Err(RestoreError::BadOutcome(RequestId(6))));
    assert_eq!(answer(outcome + 21, &[1]), Err(RestoreError::BadOutcome(RequestId(5))));
}

/// PUE-V-085
#[test]
fn state_of_a_guest_that_was_offered_reports_is_rejected_by_a_vmm_that_takes_none() {
    let mut machine = subject::machine(None, &PLUGGED);
    assert_eq!(machine.restore(&golden(), &mut ()), Err(RestoreError::ReportsNotTaken));
}

/// PUE-V-085: the guest goes on reporting where it was told to, until it reads another offer.
#[test]
fn restored_machine_takes_reports_where_the_guest_was_told_to_until_it_boots_again() {
    let mut machine = subject::machine(Some(OFFERS[1]), &PLUGGED);
    machine.restore(&golden(), &mut ()).unwrap();
    call(&mut machine, [9100, DIMM.last().0, 0xA000_0001]);
    assert_eq!(machine.set_indicator(&[9999, 0, 0x4000_0000], &mut ()), Status::NO_SUCH_INDICATOR);
    machine.reset(&mut ());
    call(&mut machine, [9999, 0, 0x4000_0000]);
    assert_eq!(machine.set_indicator(&[9100, 0, 0x4000_0000], &mut ()), Status::NO_SUCH_INDICATOR);
}

/// PUE-V-052, PUE-V-084
#[test]
fn state_with_more_requests_than_are_taken_is_rejected() {
    let offer = waiting().offered();
    let mut machine = Tracker::new(Config::default().offer(offer).max_open(3));
    for device in PLUGGED {
        machine.add_connectors(device.resource, span(device)).unwrap();
        machine.plug(span(device)).unwrap();
    }
    assert_eq!(machine.restore(&golden(), &mut ()), Err(RestoreError::TooManyRequests(4, 3)));
}

/// Returns a state with PCI armed, and a function and a DIMM configured.
fn two_devices() -> Reference {
    let mut reference = Reference::booted(config(Some(OFFERS[0])), [DIMM, FUNCTION]);
    (reference.armed, reference.features) = (Classes::all(), Features::TOKEN);
    (reference.last, reference.tokens) = (9, 9);
    reference.plugged.iter_mut().for_each(|plugged| plugged.wanted = true);
    reference
}

/// Returns a promised request.
fn hinted(id: u64, device: Device, hint: bool) -> Request {
    Request { token: Token(id as u16), promised: true, hint: hint.then_some(device.first), ..Request::new(id, device) }
}

/// PUE-V-041, PUE-V-084: a hint is kept with a promised request only, also at a physical connector.
#[test]
fn hint_with_a_request_that_is_not_promised_is_rejected() {
    let mut reference = two_devices();
    let mut machine = subject::machine(Some(OFFERS[0]), &[DIMM, FUNCTION]);
    reference.requests = vec![hinted(8, FUNCTION, true)];
    assert_eq!(machine.restore(&stream(&reference), &mut ()), Ok(()));
    reference.requests[0].promised = false;
    assert_eq!(machine.restore(&stream(&reference), &mut ()), Err(RestoreError::BadRequest(RequestId(8))));
}

/// PUE-V-041, PUE-V-084: a hint is kept with the oldest request for the device.
#[test]
fn hint_with_a_request_that_is_not_the_oldest_is_rejected() {
    let mut reference = two_devices();
    let mut machine = subject::machine(Some(OFFERS[0]), &[DIMM, FUNCTION]);
    reference.requests = vec![hinted(7, DIMM, true), hinted(8, DIMM, false)];
    assert_eq!(machine.restore(&stream(&reference), &mut ()), Ok(()));
    reference.requests = vec![hinted(7, DIMM, false), hinted(8, DIMM, true)];
    assert_eq!(machine.restore(&stream(&reference), &mut ()), Err(RestoreError::BadRequest(RequestId(8))));
}

/// PUE-V-023, PUE-V-024: behind the last token comes the first, but for those that open requests have.
#[test]
fn token_behind_the_last_is_the_first_that_no_open_request_has() {
    let mut reference = Reference::booted(config(Some(OFFERS[0])), [DIMM, FUNCTION, CPU0]);
    (reference.armed, reference.features) = (Classes::all(), Features::TOKEN);
    reference.plugged.iter_mut().for_each(|plugged| plugged.wanted = true);
    reference.requests = vec![hinted(1, DIMM, false), hinted(2, CPU0, false)];
    (reference.last, reference.tokens) = (9, 0xFFFE);
    let mut machine = subject::machine(Some(OFFERS[0]), &[DIMM, FUNCTION, CPU0]);
    machine.restore(&stream(&reference), &mut ()).unwrap();
    for device in [DIMM, DIMM, CPU0] {
        assert!(matches!(ask(&mut machine, device), Requested::Ask(ask) if ask.token.is_some()));
    }
    let given: Vec<_> = machine.requests().iter().map(|request| request.token.0).collect();
    assert_eq!(given, [1, 2, 0xFFFF, 3, 4]);
}

/// Returns what the events say of requests: their ids, and how they ended.
fn ends(events: &[Event]) -> Vec<(u64, End)> {
    let end = |event: &Event| match event {
        Event::Ended(outcome) => Some((outcome.request.0, outcome.end)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

fn open(machine: &Tracker) -> Vec<u64> {
    machine.requests().iter().map(|request| request.id.0).collect()
}

/// PUE-V-086, PUE-V-087: `loadvm` in the VMM that made the snapshot, while the request is open, and after it has ended.
/// No device is deleted, and no id is used for two requests.
#[test]
fn snapshot_with_an_open_request_is_loaded_into_the_machine_that_made_it() {
    let mut machine = lived();
    let (snapshot, mut events) = (machine.save(), Vec::new());
    assert!(matches!(ask(&mut machine, CPU0), Requested::Ask(Ask { request: RequestId(6), .. })));
    machine.restore(&snapshot, &mut events).unwrap();
    assert_eq!((ends(&events), open(&machine)), (vec![(6, End::Load)], vec![1, 2, 3, 4]));

    assert!(machine.withdraw(RequestId(2), &mut ()).is_ok());
    events.clear();
    machine.restore(&snapshot, &mut events).unwrap();
    // What was request 2 is open again, under a number that no other request had.
    assert_eq!((ends(&events), open(&machine)), (vec![], vec![1, 7, 3, 4]));
    assert!(PLUGGED.iter().all(|device| machine.device(device.first).is_some()));
    call(&mut machine, [9100, DIMM.last().0, 0x8610_0001]);
    let kept: Vec<u64> = machine.outcomes().map(|outcome| outcome.request.0).collect();
    assert_eq!(kept, [5, 6, 2, 7]);
}

/// PUE-V-087: a snapshot in which nothing is open ends every request.
#[test]
fn snapshot_without_requests_ends_all_that_are_open_when_it_is_loaded() {
    let mut machine = waiting();
    [CPU0, DIMM].iter().for_each(|device| machine.boot(device.first));
    let (snapshot, mut events) = (machine.save(), Vec::new());
    let asked = [CPU0, DIMM].map(|device| ask(&mut machine, device).id().0);
    machine.restore(&snapshot, &mut events).unwrap();
    assert_eq!(ends(&events), asked.map(|id| (id, End::Load)));
    assert!(events.iter().all(|event| matches!(event, Event::Ended(_))));
    assert!(matches!(ask(&mut machine, CPU0), Requested::Ask(Ask { request: RequestId(3), .. })));
}

/// PUE-V-086: ids go on after a migration of an idle machine, so that is no plain state.
#[test]
fn idle_machine_that_has_given_an_id_saves_it() {
    let mut machine = waiting();
    machine.boot(CPU0.first);
    assert!(machine.is_plain());
    let id = ask(&mut machine, CPU0).id();
    assert_eq!(machine.withdraw(id, &mut ()), Ok(()));
    // The guest takes the core again, which ends the removal.
    for words in [[9001, CPU0.first.0, 0], [9001, CPU0.first.0, 1]] {
        call(&mut machine, words);
    }
    assert!(!machine.is_plain());
    let mut next = waiting();
    next.restore(&machine.save(), &mut ()).unwrap();
    assert_eq!(ask(&mut next, CPU0).id(), RequestId(2));
    // A VMM without this crate cannot know the ids.
    machine.set_offer(None, &mut ());
    assert!(machine.is_plain());
}

/// PUE-V-088: the longest stream is that of a machine with every bound reached.
#[test]
fn stream_is_never_longer_than_it_is_said_to_be() {
    let machine = lived();
    let connectors: usize = PLUGGED.iter().map(|device| device.count as usize).sum();
    let most = 52 + PLUGGED.len() * 16 + connectors * 8 + oracle::machine::BOUND * 20 + Tracker::KEPT_OUTCOMES * 28;
    assert_eq!(machine.max_saved_len(), most);
    assert!(machine.save().len() <= most);
}

/// PUE-V-104: the last outcomes are kept, and no more.
#[test]
fn last_outcomes_can_be_asked_for_also_after_a_migration() {
    let mut machine = waiting();
    machine.boot(CPU0.first);
    for _ in 0..Tracker::KEPT_OUTCOMES + 3 {
        let id = ask(&mut machine, CPU0).id();
        assert_eq!(machine.withdraw(id, &mut ()), Ok(()));
    }
    let mut next = waiting();
    next.restore(&machine.save(), &mut ()).unwrap();
    let last = Tracker::KEPT_OUTCOMES as u64 + 3;
    let cpu = Plugged { resource: CPU0.resource, connectors: Span::from(CPU0.first) };
    let outcome = |id| Outcome::new(RequestId(id), cpu, End::Withdrawn);
    assert!(next.outcomes().copied().eq((4..=last).map(outcome)));
}
