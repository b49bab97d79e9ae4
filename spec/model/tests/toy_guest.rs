// SPDX-License-Identifier: MIT OR Apache-2.0

//! The toy guest of `examples/toy-guest`, which was written from the text alone, does what the text asks.

#[path = "../examples/toy-guest/guest.rs"]
mod guest;

use guest::{Guest, Platform, Request};

/// A platform that gives the answers of the test, and remembers the calls.
#[derive(Default)]
struct Script {
    statuses: Vec<i32>,
    calls: Vec<(u32, u32, u32)>,
    absent: bool,
}

impl Script {
    /// Answers these, and 0 from then on.
    fn answering(statuses: &[i32]) -> Self {
        Self { statuses: statuses.iter().rev().copied().collect(), ..Self::default() }
    }
}

impl Platform for Script {
    fn set_indicator(&mut self, indicator: u32, index: u32, state: u32) -> i32 {
        self.calls.push((indicator, index, state));
        self.statuses.pop().unwrap_or(0)
    }

    fn is_present(&mut self, _: u32) -> bool {
        !self.absent
    }
}

const OFFER: [u8; 12] = [0, 0, 0x23, 0x8C, 0, 0, 0, 0x46, 0, 0, 0, 3];
const WITHOUT_STARTED: [u8; 12] = [0, 0, 0x23, 0x8C, 0, 0, 0, 6, 0, 0, 0, 1];
const DIMM: Request = Request { resource: 2, lowest: 0x8000_0008, token: 7, platform: 0 };
const LMB1: u32 = 0x8000_0009;

const DISARM: (u32, u32, u32) = (9100, 0, 0x4000_0000);
const ARM: (u32, u32, u32) = (9100, 0, 0x2003_0006);
const STARTED: (u32, u32, u32) = (9100, 0x8000_0008, 0x6000_0007);
const REFUSED: (u32, u32, u32) = (9100, LMB1, 0x8610_0007);
const HINT: (u32, u32, u32) = (9001, LMB1, 1);

fn loaded(offer: &[u8]) -> (Guest, Script) {
    let mut guest = Guest::boot(offer);
    guest.load(&mut Script::default());
    (guest, Script::default())
}

/// PUE-G-001, PUE-G-004, PUE-G-005, PUE-G-010, PUE-G-015
#[test]
fn loading_disarms_and_then_arms_what_is_both_offered_and_kept() {
    let mut script = Script::default();
    Guest::boot(&OFFER).load(&mut script);
    assert_eq!(script.calls, [DISARM, ARM]);
}

/// PUE-G-003
#[test]
fn loading_without_an_offer_reports_nothing() {
    let mut script = Script::default();
    let mut guest = Guest::boot(&[]);
    guest.load(&mut script);
    assert_eq!(script.calls, []);
    assert!(!guest.is_armed(2));
}

/// PUE-G-013, PUE-G-020, PUE-G-022
#[test]
fn token_of_the_section_comes_back_in_the_report() {
    let (mut guest, mut script) = loaded(&OFFER);
    let log = [0x48, 0x50, 0, 24, 1, 0, 0, 0, 2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8, 0, 0, 0, 7];
    let request = guest.take(&log).unwrap();
    assert_eq!(request, DIMM);
    guest.refuse(&mut script, &request, LMB1, (6, 16), true);
    assert_eq!(script.calls, [REFUSED]);
}

/// PUE-G-021
#[test]
fn section_without_a_token_is_a_request_without_one() {
    let (guest, _) = loaded(&OFFER);
    let log = [0x48, 0x50, 0, 20, 1, 0, 0, 0, 2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8];
    assert_eq!(guest.take(&log), Some(Request { token: 0, ..DIMM }));
}

/// PUE-G-030, PUE-G-032, PUE-G-039
#[test]
fn attempt_is_reported_at_its_start_and_once_at_its_end() {
    let (mut guest, mut script) = loaded(&OFFER);
    guest.begin(&mut script, &DIMM);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
    assert_eq!(script.calls, [STARTED, REFUSED]);
}

/// PUE-G-034
#[test]
fn success_is_reported_too() {
    let (mut guest, mut script) = loaded(&WITHOUT_STARTED);
    guest.begin(&mut script, &DIMM);
    guest.finish(&mut script, &DIMM);
    assert_eq!(script.calls, [(9100, 0x8000_0008, 0xA000_0007)]);
}

/// PUE-G-031, PUE-G-032
#[test]
fn lost_request_is_refused_as_dropped_at_its_lowest_connector() {
    let (mut guest, mut script) = loaded(&OFFER);
    guest.lose(&mut script, &DIMM);
    assert_eq!(script.calls, [(9100, 0x8000_0008, 0x950C_0007)]);
}

/// PUE-G-037, PUE-G-042: delivered is delivered.
#[test]
fn report_is_not_sent_again_after_any_status_that_is_not_busy() {
    for status in [0, 9000, -1, -9005, -9007, -9008] {
        let (mut guest, _) = loaded(&OFFER);
        let mut script = Script::answering(&[status]);
        guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
        assert_eq!(script.calls, [REFUSED]);
    }
}

/// PUE-G-043
#[test]
fn busy_repeats_the_same_call() {
    let (mut guest, _) = loaded(&OFFER);
    let mut script = Script::answering(&[-2, 9900, 9905, 0]);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
    assert_eq!(script.calls, [REFUSED; 4]);
}

/// PUE-G-040, PUE-G-050
#[test]
fn platform_without_reports_gets_the_hint_and_no_report_again() {
    let (mut guest, _) = loaded(&OFFER);
    let mut script = Script::answering(&[-3]);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), true);
    guest.finish(&mut script, &DIMM);
    assert_eq!(script.calls, [REFUSED, HINT]);
}

/// PUE-G-041
#[test]
fn platform_that_forgot_the_arming_gets_the_hint_and_a_new_arming() {
    let (mut guest, _) = loaded(&OFFER);
    let mut script = Script::answering(&[-9006]);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
    assert_eq!(script.calls, [REFUSED, HINT, ARM]);
}

/// PUE-G-041: the platform that gave the tokens is gone.
#[test]
fn platform_that_forgot_the_arming_gets_no_token_of_the_one_before() {
    let (mut guest, _) = loaded(&WITHOUT_STARTED);
    let mut script = Script::answering(&[-9006]);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), true);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), true);
    assert_eq!(script.calls.last(), Some(&(9100, LMB1, 0x8610_0000)));
}

/// PUE-G-044
#[test]
fn platform_that_rejects_the_arming_has_a_guest_that_hints() {
    let mut guest = Guest::boot(&OFFER);
    let mut script = Script::answering(&[0, -9007]);
    guest.load(&mut script);
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
    assert_eq!(script.calls, [DISARM, ARM, HINT]);
}

/// PUE-G-050
#[test]
fn hint_is_not_added_to_that_of_the_kernel() {
    let mut guest = Guest::boot(&[]);
    let mut script = Script::default();
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), true);
    assert_eq!(script.calls, []);
}

/// PUE-G-052
#[test]
fn hint_is_not_sent_for_a_connector_that_is_not_there() {
    let mut guest = Guest::boot(&[]);
    let mut script = Script { absent: true, ..Script::default() };
    guest.refuse(&mut script, &DIMM, LMB1, (6, 16), false);
    assert_eq!(script.calls, []);
}

/// PUE-G-012
#[test]
fn class_that_cannot_be_kept_is_withdrawn_alone_and_the_last_one_disarms() {
    let (mut guest, mut script) = loaded(&OFFER);
    guest.withdraw(&mut script, 2);
    assert!(!guest.is_armed(2) && guest.is_armed(1));
    guest.withdraw(&mut script, 1);
    assert_eq!(script.calls, [(9100, 0, 0x2003_0002), DISARM]);
}

/// PUE-G-060, PUE-G-061
#[test]
fn unloading_disarms_and_a_boot_is_not_armed() {
    let (mut guest, mut script) = loaded(&OFFER);
    guest.unload(&mut script);
    assert_eq!(script.calls, [DISARM]);
    assert!(!guest.is_armed(1) && !Guest::boot(&OFFER).is_armed(1));
}

const WITH_PCI: [u8; 12] = [0, 0, 0x23, 0x8C, 0, 0, 0, 0x26, 0, 0, 0, 1];
const FUNCTION: Request = Request { resource: 5, lowest: 0x4000_0018, token: 7, platform: 0 };
const NO_AGENT: (u32, u32, u32) = (9100, 0x4000_0018, 0x9902_0007);

/// PUE-G-020: the token of an event for user space is where it is for the kernel's.
#[test]
fn token_of_a_function_is_behind_its_index_and_four_zeros() {
    let (guest, _) = loaded(&WITH_PCI);
    let log = [0x48, 0x50, 0, 24, 1, 0, 0, 0, 5, 2, 2, 0x80, 0x40, 0, 0, 0x18, 0, 0, 0, 0, 0, 0, 0, 7];
    assert_eq!(guest.take(&log), Some(FUNCTION));
}

/// PUE-G-070, PUE-G-071
#[test]
fn request_without_an_agent_is_refused_at_once_and_void_for_the_agent_that_starts() {
    let (mut guest, mut script) = loaded(&WITH_PCI);
    guest.keep(&mut script, FUNCTION, false);
    assert_eq!(script.calls, [NO_AGENT]);
    let next = Request { token: 8, ..FUNCTION };
    guest.keep(&mut script, next, true);
    assert_eq!((guest.read(), guest.read()), (Some(next), None));
}

/// PUE-G-070
#[test]
fn request_whose_agent_ends_is_answered_once_with_its_status() {
    let (mut guest, mut script) = loaded(&WITH_PCI);
    for status in [255, 0] {
        guest.keep(&mut script, FUNCTION, true);
        let request = guest.read().unwrap();
        guest.agent_ended(&mut script, &request, status);
    }
    script.absent = true;
    guest.agent_ended(&mut script, &FUNCTION, 0);
    let words = [0x9CFF_0007, 0x9C00_0007, 0xA000_0007];
    assert_eq!(script.calls, words.map(|word| (9100, 0x4000_0018, word)));
}

/// PUE-G-070, PUE-G-071
#[test]
fn requests_that_a_dead_agent_has_not_read_are_refused_and_void() {
    let (mut guest, mut script) = loaded(&WITH_PCI);
    guest.keep(&mut script, FUNCTION, true);
    guest.agent_gone(&mut script);
    guest.agent_gone(&mut script);
    assert_eq!((script.calls, guest.read()), (vec![NO_AGENT], None));
}
