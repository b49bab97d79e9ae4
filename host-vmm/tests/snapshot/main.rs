// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saved states: the stream of version 1 is read for ever, and no other bytes are taken for a state.

#[path = "../oracle/mod.rs"]
pub mod oracle;

use oracle::{
    machine::{DEVICES, OFFERS, PCI, Plan},
    reference::{Device, Reference, Request},
    stream::stream,
    subject::{self, span},
};
use papr_unplug::{
    Config, Tracker,
    drc::State,
    event::{Ask, End, Event, Outcome, RequestId},
    snapshot::RestoreError,
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        reason::Reason,
        rtas::Status,
        token::Token,
    },
};
use proptest::prelude::*;

const CPU0: Plan = DEVICES[0];
const CPU1: Plan = DEVICES[1];
const DIMM: Plan = DEVICES[3];
const PMEM: Plan = DEVICES[5];
const FUNCTION: Plan = DEVICES[6];
const PLUGGED: [Plan; 5] = [CPU0, CPU1, DIMM, PMEM, FUNCTION];

/// The stream as it was written when version 1 was new: hexadecimal, with comments.
fn golden() -> Vec<u8> {
    let digits: String = include_str!("version-1.hex").lines().filter(|line| !line.starts_with('#')).collect();
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// A machine that waits for a migration.
fn waiting() -> Tracker {
    subject::machine(Some(OFFERS[0]), &PLUGGED)
}

fn call(machine: &mut Tracker, words: [u32; 3]) {
    assert_eq!(machine.set_indicator(&words, &mut ()), Status::SUCCESS, "{words:x?}");
}

/// A machine with requests of every kind: before arming, promised, begun and hinted, without a token, refused.
fn lived() -> Tracker {
    let mut machine = waiting();
    [CPU0, DIMM, PMEM, FUNCTION].iter().for_each(|device| machine.boot(DrcIndex(device.1)));
    let ask = |machine: &mut Tracker, device: Plan| machine.request(DrcIndex(device.1), &mut ()).unwrap();
    ask(&mut machine, CPU0);
    call(&mut machine, [9100, 0, 0x2003_0006]);
    ask(&mut machine, DIMM);
    call(&mut machine, [9001, DIMM.1, 0]);
    call(&mut machine, [9003, DIMM.1, 0]);
    call(&mut machine, [9100, DIMM.1, 0x6000_0001]);
    call(&mut machine, [9001, DIMM.1 + 1, 1]);
    ask(&mut machine, DIMM);
    ask(&mut machine, FUNCTION);
    ask(&mut machine, PMEM);
    call(&mut machine, [9001, PMEM.1, 1]);
    machine
}

/// PUE-V-080: if this fails, raise the version, and go on reading the old one.
#[test]
fn golden_stream_is_what_is_saved() {
    assert_eq!(lived().save(), golden());
}

/// PUE-V-080
#[test]
fn golden_stream_restores_all_that_later_answers_depend_on() {
    let mut machine = waiting();
    machine.restore(&golden()).unwrap();
    let requests: Vec<_> =
        machine.requests().iter().map(|one| (one.id.0, one.device.connectors, one.token.0)).collect();
    assert_eq!(requests, [(1, span(CPU0), 0), (2, span(DIMM), 1), (3, span(DIMM), 2), (4, span(FUNCTION), 0)]);
    let flags: Vec<_> = machine.requests().iter().map(|one| (one.promised, one.started, one.hint)).collect();
    let hinted = (true, true, Some(DrcIndex(DIMM.1 + 1)));
    assert_eq!(flags, [(false, false, None), hinted, (true, false, None), (false, false, None)]);
    let states = [CPU0.1, CPU1.1, DIMM.1, DIMM.1 + 1, PMEM.1, FUNCTION.1].map(|index| machine.state(DrcIndex(index)));
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
}

/// PUE-V-061, PUE-V-081: the removal that was refused is still wanted, and the next names are new.
#[test]
fn restored_machine_goes_on_where_the_saved_one_was() {
    let mut machine = waiting();
    machine.restore(&golden()).unwrap();
    let mut events = Vec::new();
    assert_eq!(machine.set_indicator(&[9100, DIMM.1 + 1, 0x8610_0001], &mut events), Status::SUCCESS);
    assert!(matches!(
        events.pop(),
        Some(Event::Ended(Outcome { request: RequestId(2), end: End::Refused(refusal), .. }))
            if refusal.reason == Reason::UNMOVABLE_PAGE
    ));
    assert_eq!(machine.set_indicator(&[9001, PMEM.1, 0], &mut events), Status::SUCCESS);
    assert_eq!(machine.set_indicator(&[9003, PMEM.1, 0], &mut events), Status::SUCCESS);
    assert!(matches!(events.pop(), Some(Event::Deleted(device)) if device.connectors == span(PMEM)));
    machine.request(DrcIndex(DIMM.1), &mut events).unwrap();
    assert!(matches!(events.pop(), Some(Event::Ask(Ask { request: RequestId(6), token: Token(3), .. }))));
}

/// PUE-V-084
#[test]
fn truncated_stream_is_cut_off_wherever_it_ends() {
    let (golden, mut machine) = (golden(), lived());
    let before = machine.save();
    for length in 0..golden.len() {
        assert_eq!(machine.restore(&golden[..length]), Err(RestoreError::CutOff), "{length} bytes");
    }
    assert_eq!(machine.restore(&[golden, vec![0; 3]].concat()), Err(RestoreError::TooLong(3)));
    assert_eq!(machine.save(), before);
}

/// Takes the bytes only if they are a state, and is not changed if they are not.
fn is_taken_as_what_it_is(machine: &Tracker, bytes: &[u8]) {
    let (before, mut after) = (machine.save(), machine.clone());
    match after.restore(bytes) {
        Ok(()) => {
            assert_eq!(after.save(), bytes);
            subject::is_possible(&after);
        }
        Err(_) => assert_eq!(after.save(), before),
    }
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

/// What a machine says to the golden stream after bytes of it were overwritten.
fn answer(at: usize, with: &[u8]) -> Result<(), RestoreError> {
    let mut bytes = golden();
    bytes[at..at + with.len()].copy_from_slice(with);
    waiting().restore(&bytes)
}

/// PUE-V-084: the error says what is wrong. Offsets are those of the table in `papr_unplug::snapshot`.
#[test]
fn error_says_what_is_wrong() {
    assert_eq!(answer(0, b"QEMU"), Err(RestoreError::NotASnapshot));
    assert_eq!(answer(4, &[0, 2]), Err(RestoreError::UnknownVersion(2)));
    // Armed what was not offered; offered on an indicator that is LoPAR's.
    assert_eq!(answer(6, &[0x80, 0]), Err(RestoreError::BadOffer));
    assert_eq!(answer(12, &9001_u32.to_be_bytes()), Err(RestoreError::BadOffer));
    // The last name is older than an open request's; the last token is none.
    assert_eq!(answer(24, &1_u64.to_be_bytes()), Err(RestoreError::BadRequest(RequestId(2))));
    assert_eq!(answer(32, &[0, 1, 0, 0]), Err(RestoreError::BadRequest(RequestId(5))));
    assert_eq!(answer(36, &[0, 0, 0, 4]), Err(RestoreError::OtherNumberOfDevices(4, 5)));
    assert_eq!(answer(40, &[0xFF; 4]), Err(RestoreError::TooManyRequests(u32::MAX, oracle::machine::BOUND)));
    assert_eq!(answer(44, &[0, 0, 0, 7]), Err(RestoreError::OtherDevice(DrcIndex(7))));
    // A physical state of a CPU; more connectors than it has.
    assert_eq!(answer(60, &[0, 0, 0, 8]), Err(RestoreError::BadDevice(DrcIndex(CPU0.1))));
    assert_eq!(answer(64, &[0, 0, 0, 2]), Err(RestoreError::BadDevice(DrcIndex(CPU0.1))));
}

/// PUE-V-085
#[test]
fn state_of_a_guest_that_was_offered_reports_is_rejected_by_a_vmm_that_takes_none() {
    let mut machine = subject::machine(None, &PLUGGED);
    assert_eq!(machine.restore(&golden()), Err(RestoreError::ReportsNotTaken));
}

/// PUE-V-085: the guest goes on reporting where it was told to, until it reads another offer.
#[test]
fn restored_machine_takes_reports_where_the_guest_was_told_to_until_it_boots_again() {
    let mut machine = subject::machine(Some(OFFERS[1]), &PLUGGED);
    machine.restore(&golden()).unwrap();
    call(&mut machine, [9100, DIMM.1 + 1, 0xA000_0001]);
    assert_eq!(machine.set_indicator(&[9999, 0, 0x4000_0000], &mut ()), Status::NO_SUCH_INDICATOR);
    machine.reset(&mut ());
    call(&mut machine, [9999, 0, 0x4000_0000]);
    assert_eq!(machine.set_indicator(&[9100, 0, 0x4000_0000], &mut ()), Status::NO_SUCH_INDICATOR);
}

/// PUE-V-052, PUE-V-084
#[test]
fn state_with_more_requests_than_are_taken_is_rejected() {
    let offer = waiting().offered();
    let mut machine = Tracker::new(Config { offer, max_open: 3 });
    for device in PLUGGED {
        machine.add_connectors(papr_unplug::wire::hotplug::Resource(device.0), span(device)).unwrap();
        machine.plug(span(device)).unwrap();
    }
    assert_eq!(machine.restore(&golden()), Err(RestoreError::TooManyRequests(4, 3)));
}

/// A state with PCI armed, and a function and a DIMM configured.
fn two_devices() -> Reference {
    let mut reference = Reference::new(Some(OFFERS[0]));
    (reference.armed, reference.features, reference.asked) = (0x7E, 1, 9);
    reference.plugged = [DIMM, FUNCTION].map(|plan| Device { plan, wanted: true }).to_vec();
    for connector in &mut reference.connectors {
        connector.state = oracle::lopar::ends(oracle::machine::is_physical(connector.resource)).1;
    }
    reference
}

fn hinted(id: u64, device: Plan, hint: bool) -> Request {
    Request { id, device, token: false, promised: false, started: false, hint: hint.then_some(device.1) }
}

/// PUE-V-084: "Level 0" knows hints on logical connectors only.
#[test]
fn hint_at_a_physical_connector_is_rejected() {
    let mut reference = two_devices();
    assert_eq!(FUNCTION.0, PCI);
    reference.requests = vec![hinted(8, FUNCTION, true)];
    let mut machine = subject::machine(Some(OFFERS[0]), &[DIMM, FUNCTION]);
    assert_eq!(machine.restore(&stream(&reference, |_| 7)), Err(RestoreError::BadRequest(RequestId(8))));
}

/// PUE-V-041, PUE-V-084: a hint is kept with the oldest request for the device.
#[test]
fn hint_with_a_request_that_is_not_the_oldest_is_rejected() {
    let mut reference = two_devices();
    let mut machine = subject::machine(Some(OFFERS[0]), &[DIMM, FUNCTION]);
    reference.requests = vec![hinted(7, DIMM, true), hinted(8, DIMM, false)];
    assert_eq!(machine.restore(&stream(&reference, |_| 7)), Ok(()));
    reference.requests = vec![hinted(7, DIMM, false), hinted(8, DIMM, true)];
    assert_eq!(machine.restore(&stream(&reference, |_| 7)), Err(RestoreError::BadRequest(RequestId(8))));
}

/// PUE-V-023, PUE-V-024: behind the last token comes the first, but for those that open requests have.
#[test]
fn token_behind_the_last_is_the_first_that_no_open_request_has() {
    let mut reference = two_devices();
    let named = |id| Request { token: true, promised: true, ..hinted(id, DIMM, false) };
    reference.requests = vec![named(1), named(2)];
    let mut machine = subject::machine(Some(OFFERS[0]), &[DIMM, FUNCTION]);
    machine.restore(&stream(&reference, |id| if id == 9 { 0xFFFE } else { id as u16 })).unwrap();
    let mut events = Vec::new();
    for _ in 0..3 {
        machine.request(DrcIndex(DIMM.1), &mut events).unwrap();
    }
    let tokens: Vec<_> = events.iter().map(|event| matches!(event, Event::Ask(ask) if ask.token.is_some())).collect();
    assert_eq!(tokens, [true; 3]);
    let given: Vec<_> = machine.requests().iter().map(|request| request.token.0).collect();
    assert_eq!(given, [1, 2, 0xFFFF, 3, 4]);
}
