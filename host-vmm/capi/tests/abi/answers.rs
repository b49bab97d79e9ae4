// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls of guest and user, and their effects.

use crate::machine::{Machine, REPORTS};
use papr_unplug_capi::{
    PaprUnplugCause as Cause, PaprUnplugEffect, PaprUnplugEffectKind as Kind, PaprUnplugEnd as End,
    PaprUnplugError as Error, PaprUnplugEvidence as Evidence, PaprUnplugRequest, papr_unplug_next_effect,
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
        ..PaprUnplugRequest::default()
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
        ..PaprUnplugEffect::default()
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
    let (kind, by) = (Kind::Delete as u32, Cause::Guest as u32);
    assert_eq!(effects, [told, PaprUnplugEffect { kind, by, requests: 1, request: 0, end: 0, ..told }]);
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
    let expected = [
        "request 1 to remove cpu 0x10000000: released, the device is deleted",
        "cpu 0x10000000 is deleted: the guest gave it back",
    ];
    assert_eq!(machine.effects(), expected);
}

#[test]
fn section_to_send_comes_with_the_request() {
    let machine = Machine::with_dimm(DIMM, 2);
    assert_eq!(machine.set_indicator(REPORTS, 0, ARM), 0);
    let (code, made) = machine.request_and_see(DIMM);
    assert_eq!((code, made.section_size, &made.section[..2]), (0, 24, &b"HP"[..]));
    assert_eq!(made.section[8..24], [2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(made.section[24..], [0; 36]);
}

/// PUE-V-055, PUE-V-056
#[test]
fn function_other_than_0_is_withheld_until_function_0_is_asked_for() {
    const FUNCTIONS: [u32; 3] = [0x4000_0002, 0x4000_0001, 0x4000_0000];
    let machine = Machine::new(0);
    assert_eq!(machine.add(5, 0x4000_0000, 3), 0);
    assert!(FUNCTIONS.iter().all(|function| machine.attach(*function, 1, true) == 0));
    let (code, made) = machine.withhold(FUNCTIONS[1]);
    assert_eq!((code, made.section_size, made.request.is_withheld), (0, 0, true));

    let (code, made) = machine.request_together(&FUNCTIONS);
    assert_eq!((code, made.iter().map(|made| made.section_size).collect::<Vec<_>>()), (3, vec![20; 3]));
    assert_eq!(made.iter().map(|made| made.request.id).collect::<Vec<_>>(), [2, 1, 3]);
    assert!(machine.open_requests().iter().all(|request| !request.is_withheld));
}

/// PUE-V-025, PUE-V-056, PUE-V-058
#[test]
fn request_that_was_withheld_has_a_section_and_a_promise_of_its_own() {
    const FUNCTIONS: [u32; 2] = [0x4000_0001, 0x4000_0000];
    let machine = Machine::new(0);
    assert_eq!(machine.add(5, 0x4000_0000, 2), 0);
    assert!(FUNCTIONS.iter().all(|function| machine.attach(*function, 1, true) == 0));
    assert_eq!(machine.set_indicator(REPORTS, 0, 0x2001_0020), 0);
    assert!((0..2).all(|_| machine.withhold(FUNCTIONS[0]).0 == 0));

    let (code, made) = machine.request_together(&FUNCTIONS);
    assert_eq!((code, made.iter().map(|made| made.request.id).collect::<Vec<_>>()), (3, vec![1, 2, 3]));
    assert!(made.iter().all(|made| made.request.is_promised && made.section_size == 24));
    assert_eq!(made[1].section[8..24], [5, 2, 2, 0x80, 0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    // What is promised is not asked for again.
    let (code, made) = machine.request_together(&FUNCTIONS);
    assert_eq!((code, made.iter().map(|made| made.request.id).collect::<Vec<_>>()), (1, vec![4]));
}

#[test]
fn devices_that_leave_together_are_not_asked_for_if_there_is_less_room_than_they_may_need() {
    let machine = Machine::new(0);
    assert_eq!(machine.add(5, 0x4000_0000, 2), 0);
    assert!([0x4000_0000, 0x4000_0001].iter().all(|function| machine.attach(*function, 1, true) == 0));
    assert_eq!(machine.withhold(0x4000_0001).0, 0);
    let (code, made) = machine.request_together_with_room(&[0x4000_0001, 0x4000_0000], 2);
    assert_eq!((code, made), (Error::Argument as i32, Vec::new()));
    assert!(machine.open_requests().iter().all(|request| request.is_withheld));
}

/// PUE-V-052, PUE-V-056
#[test]
fn devices_that_leave_together_are_all_asked_for_or_none() {
    let machine = Machine::new(2);
    assert_eq!(machine.add(5, 0x4000_0000, 3), 0);
    assert!((0x4000_0000..0x4000_0003).all(|function| machine.attach(function, 1, true) == 0));
    let (code, made) = machine.request_together(&[0x4000_0002, 0x4000_0001, 0x4000_0000]);
    assert_eq!((code, made), (Error::TooMany as i32, Vec::new()));
    assert!(machine.open_requests().is_empty() && !machine.pending(0x4000_0002));
}

/// PUE-V-057
#[test]
fn request_that_was_withdrawn_is_over_and_its_device_may_still_go() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!((machine.request(DIMM).0, machine.withdraw(1)), (0, 0));
    let withdrawn =
        "request 1 to remove memory 0x80000008: withdrawn; the device is deleted should the guest still give it back";
    assert_eq!(machine.effects(), [withdrawn]);
    machine.give_back(DIMM);
    assert_eq!(machine.effects(), ["memory 0x80000008 is deleted: the guest gave it back"]);
    assert_eq!(machine.outcomes(), [withdrawn]);
}

/// The main loop takes them, after the call has returned to the guest.
#[test]
fn effects_wait_until_they_are_taken() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.request(DIMM).0, 0);
    assert!(!machine.has_effect());
    machine.give_back(DIMM);
    // The connector is empty, and a device can be attached, before the VMM deletes the first.
    assert!(machine.has_effect() && machine.attach(DIMM, 1, false) == 0);
    assert_eq!((machine.effects().len(), machine.has_effect()), (2, false));
}

/// Callers of an older or a newer version have shorter or longer structures.
#[test]
fn structure_of_another_size_is_written_as_far_as_it_is_known() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!((machine.request(DIMM).0, machine.request(DIMM).0), (0, 0));
    machine.give_back(DIMM);
    let mut bytes = [0xAA_u8; 80];
    let mut next = |size| {
        // SAFETY: there is room for `size` bytes.
        assert!(unsafe { papr_unplug_next_effect(machine.handle(), bytes.as_mut_ptr().cast(), size) });
        bytes
    };
    let short = next(16);
    assert_eq!((&short[..4], &short[16..]), (&1_u32.to_ne_bytes()[..], &[0xAA; 64][..]));
    let long = next(72);
    assert_eq!((&long[56..72], &long[72..]), (&[0; 16][..], &[0xAA; 8][..]));
}

#[test]
fn connector_is_configured_in_steps_and_a_stream_may_begin_anew() {
    let machine = Machine::new(0);
    assert_eq!(machine.add(2, DIMM, 1), 0);
    assert_eq!(machine.attach(DIMM, 1, false), 0);
    assert_eq!(machine.get_sensor_state(9003, DIMM), (0, 2));
    assert_eq!(machine.configure(DIMM, true), -9003);
    assert_eq!(machine.set_indicator_and_see(9003, DIMM, 1), (0, (1, 2)));
    assert_eq!(machine.set_indicator_and_see(9001, DIMM, 1), (0, (2, 3)));
    assert_eq!(machine.set_indicator_and_see(9001, DIMM, 1), (0, (0, 0)));
    assert_eq!(machine.state(DIMM), 3);
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
        "memory 0x80000008 is deleted: the machine was reset",
    ];
    assert_eq!(machine.effects(), expected);
}

#[test]
fn cas_is_told_as_such() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.request(DIMM).0, 0);
    machine.cas();
    let expected = [
        "request 1 to remove memory 0x80000008: closed by a CAS negotiation of the guest, the device is deleted",
        "memory 0x80000008 is deleted: the guest negotiated its features (CAS)",
    ];
    assert_eq!(machine.effects(), expected);
}

#[test]
fn offer_that_is_withdrawn_disarms_and_takes_no_more_reports() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.set_indicator(REPORTS, 0, ARM), 0);
    assert_eq!(machine.set_offer([0; 3]), 0);
    assert_eq!((machine.armed(), machine.set_indicator(REPORTS, 0, ARM)), ((0, 0), -3));
}

#[test]
fn device_that_is_detached_ends_its_requests_and_is_not_deleted_again() {
    let machine = Machine::with_dimm(DIMM, 1);
    assert_eq!(machine.request(DIMM).0, 0);
    assert_eq!(machine.detach(DIMM), 0);
    let removed = "closed, because the VMM removed the device without the guest";
    assert_eq!(machine.effects(), [format!("request 1 to remove memory 0x80000008: {removed}")]);
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
        "phb 0x20000001 is deleted: the machine was reset",
        "request 3 to remove memory 0x80000008 to 0x80000009: released, the device is deleted",
    ];
    assert_eq!(machine.effects(), expected);
}
