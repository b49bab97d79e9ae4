// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the guest and the user do, and what comes of it.

use crate::machine::{Machine, REPORTS};
use papr_unplug_capi::{
    PaprUnplugEffect, PaprUnplugEffectKind as Kind, PaprUnplugEnd as End, PaprUnplugEvidence as Evidence,
    PaprUnplugRequest,
};

const DIMM: u32 = 0x8000_0008;
/// ARM: memory, with tokens.
const ARM: u32 = 0x2001_0004;
/// REFUSED: unmovable-page, errno 16.
const REFUSED: u32 = 0x8610_0000;
const STARTED: u32 = 0x6000_0000;

#[test]
fn armed_guest_that_refuses_is_told_with_its_reason() {
    let machine = Machine::with_dimm(DIMM, 2);
    assert_eq!(machine.set_indicator(REPORTS, 0, ARM), 0);
    assert_eq!(machine.armed(), (4, 1));

    let (code, request) = machine.request(DIMM);
    let expected = PaprUnplugRequest {
        id: 1,
        resource: 2,
        first: DIMM,
        count: 2,
        hint: 0,
        token: 1,
        is_promised: true,
        is_started: false,
    };
    assert_eq!((code, request), (0, Some(expected)));
    assert_eq!(machine.next_effect(), None);

    assert_eq!(machine.set_indicator(REPORTS, DIMM, STARTED | 1), 0);
    assert_eq!(machine.open_requests(), [PaprUnplugRequest { is_started: true, ..expected }]);
    assert_eq!(machine.set_indicator(REPORTS, DIMM + 1, REFUSED | 1), 0);
    let refused = PaprUnplugEffect {
        kind: Kind::Outcome as u32,
        resource: 2,
        first: DIMM,
        count: 2,
        request: 1,
        end: End::Refused as u32,
        connector: DIMM + 1,
        reason: 6,
        guest_errno: 16,
        evidence: Evidence::Token as u32,
    };
    assert_eq!((machine.next_effect(), machine.next_effect()), (Some(refused), None));
    assert_eq!(machine.open_requests(), []);
}

#[test]
fn unarmed_guest_that_hints_is_told_as_inferred() {
    let machine = Machine::with_dimm(DIMM, 2);
    let (code, request) = machine.request(DIMM);
    assert_eq!((code, request.map(|request| (request.token, request.is_promised))), (0, Some((0, false))));

    assert_eq!(machine.set_indicator(9001, DIMM + 1, 1), 0);
    let effect = machine.next_effect().unwrap();
    assert_eq!((effect.end, effect.connector, effect.reason), (End::Refused as u32, DIMM + 1, 0));
    assert_eq!(effect.evidence, Evidence::Inferred as u32);
}

#[test]
fn device_that_is_given_back_is_told_before_it_is_deleted() {
    let machine = Machine::with_dimm(DIMM, 2);
    assert_eq!(machine.request(DIMM).0, 0);
    machine.give_back(DIMM);
    assert_eq!(machine.next_effect(), None);
    machine.give_back(DIMM + 1);

    let effects: Vec<_> = std::iter::from_fn(|| machine.next_effect()).collect();
    let told = PaprUnplugEffect {
        kind: Kind::Outcome as u32,
        resource: 2,
        first: DIMM,
        count: 2,
        request: 1,
        end: End::Released as u32,
        ..PaprUnplugEffect::default()
    };
    assert_eq!(effects, [told, PaprUnplugEffect { kind: Kind::Delete as u32, request: 0, end: 0, ..told }]);
}

/// PUE-V-054
#[test]
fn device_that_was_never_taken_is_released_at_once() {
    let machine = Machine::new(0);
    assert_eq!(machine.add(1, 0x1000_0000, 1), 0);
    assert_eq!(machine.attach(0x1000_0000, 1, false), 0);

    let (code, request) = machine.request(0x1000_0000);
    assert_eq!(
        (code, request.map(|request| (request.id, request.first, request.token))),
        (1, Some((1, 0x1000_0000, 0)))
    );
    let expected = ["request 1 to remove cpu 0x10000000: released, the device is deleted", "cpu 0x10000000 is deleted"];
    assert_eq!(machine.effects(), expected);
}

#[test]
fn section_is_written_whole_or_not_at_all() {
    let machine = Machine::with_dimm(DIMM, 2);
    assert_eq!(machine.set_indicator(REPORTS, 0, ARM), 0);
    assert_eq!(machine.request(DIMM).0, 0);

    let (size, section) = machine.section(1, 24);
    assert_eq!((size, &section[8..24]), (24, &[2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0, 1][..]));
    assert_eq!(machine.section(1, 23), (24, vec![0xAA; 23]));
    assert_eq!(machine.section(2, 24).0, 0);
}

#[test]
fn connector_is_configured_in_steps_and_a_stream_may_begin_anew() {
    let machine = Machine::new(0);
    assert_eq!(machine.add(2, DIMM, 1), 0);
    assert_eq!(machine.attach(DIMM, 1, false), 0);
    assert_eq!(machine.get_sensor_state(9003, DIMM), (0, 2));
    assert_eq!(machine.configure(DIMM, true), -9003);
    assert_eq!((machine.set_indicator(9003, DIMM, 1), machine.state(DIMM)), (0, 2));
    assert_eq!((machine.set_indicator(9001, DIMM, 1), machine.state(DIMM)), (0, 3));
    assert_eq!([true, false].map(|is_first| machine.configure(DIMM, is_first)), [0, 0]);
    assert_eq!((machine.configured(DIMM), machine.state(DIMM)), (0, 4));
    assert_eq!(machine.get_sensor_state(9003, DIMM), (0, 1));

    assert_eq!([true, false].map(|is_first| machine.configure(7, is_first)), [-3, -3]);
    assert_eq!((machine.get_sensor_state(9003, 7), machine.get_sensor_state(9004, DIMM)), ((-3, 0), (-3, 0)));
    assert_eq!([9002, 9003, 8999].map(|indicator| machine.set_indicator(indicator, 7, 0)), [-3; 3]);
}

/// One reconfiguration takes about ten calls, and must not end ten requests.
#[test]
fn only_the_first_configure_call_of_a_series_is_a_hint() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!((machine.request(DIMM).0, machine.request(DIMM).0), (0, 0));
    assert_eq!([true, false, false, false].map(|is_first| machine.configure(DIMM, is_first)), [0; 4]);
    assert_eq!((machine.effects().len(), machine.open_requests().len()), (1, 1));
}

#[test]
fn reset_ends_requests_and_deletes_their_devices() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.set_indicator(REPORTS, 0, ARM), 0);
    assert_eq!(machine.request(DIMM).0, 0);
    machine.reset();
    assert_eq!(machine.armed(), (0, 0));
    let expected = [
        "request 1 to remove memory 0x80000008: closed by a reset, the device is deleted",
        "memory 0x80000008 is deleted",
    ];
    assert_eq!(machine.effects(), expected);
}

#[test]
fn offer_that_is_withdrawn_disarms_and_takes_no_more_reports() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.set_indicator(REPORTS, 0, ARM), 0);
    assert_eq!(machine.set_offer(None), 0);
    assert_eq!((machine.armed(), machine.set_indicator(REPORTS, 0, ARM)), ((0, 0), -3));
}

#[test]
fn device_that_is_detached_ends_its_requests_and_is_not_deleted_again() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.request(DIMM).0, 0);
    assert_eq!(machine.detach(DIMM), 0);
    assert_eq!(machine.effects(), ["request 1 to remove memory 0x80000008: released, the device is deleted"]);
    assert_eq!((machine.state(DIMM), machine.request(DIMM).0 < 0), (1, true));
}

#[test]
fn connectors_that_are_removed_take_their_devices_and_unmade_deletions_along() {
    let machine = Machine::with_dimm(DIMM, 2);
    assert_eq!(machine.add(4, 0x2000_0001, 1), 0);
    assert_eq!(machine.attach(0x2000_0001, 1, true), 0);
    assert_eq!((machine.request(DIMM).0, machine.request(0x2000_0001).0), (0, 0));
    machine.reset();
    assert_eq!(machine.attach(DIMM, 2, true), 0);
    assert_eq!(machine.request(DIMM).0, 0);

    assert_eq!(machine.remove(DIMM + 1, 1), 0);
    assert_eq!([DIMM, DIMM + 1].map(|index| machine.state(index)), [1, 0]);
    let expected = [
        "request 1 to remove memory 0x80000008 to 0x80000009: closed by a reset, the device is deleted",
        "request 2 to remove phb 0x20000001: closed by a reset, the device is deleted",
        "phb 0x20000001 is deleted",
        "request 3 to remove memory 0x80000008 to 0x80000009: released, the device is deleted",
    ];
    assert_eq!(machine.effects(), expected);
}
