// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hostile guest that makes any call at any time, against the reference VMM: every state that it can reach.

use papr_unplug_model::{
    machine::{CONNECTORS, DEVICES, FUNCTION0, FUNCTION1, UNPLUG_STATUS},
    mutant::Mutant,
    reference::{Config, Reference},
    vmm::{Event, Input, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features, Offer},
    rtas::{Indicator, Status},
};
use std::collections::HashSet;

/// A VMM under attack, and the requests that have had their outcome.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Attacked {
    vmm: Reference,
    asked: usize,
    ended: [bool; 4],
}

/// A user's part: returns the inputs that may come next, when this number of requests was made.
type User = fn(&Reference, usize) -> Vec<Input>;

/// ARM of each class, DISARM, each report with no token, the first, the second and one that was never given, and words
/// that mean nothing.
const WORDS: [u32; 19] = [
    0x2001_0002,
    0x2001_0004,
    0x2001_0006,
    0x2000_0006,
    0x2001_0040,
    0x2001_0020,
    0x4000_0000,
    0x6000_0000,
    0x6000_0001,
    0x8610_0000,
    0x8610_0001,
    0x8610_0002,
    0x8610_7777,
    0xA000_0000,
    0xA000_0001,
    0xA000_0002,
    0,
    0xC000_0001,
    0xFFFF_FFFF,
];

/// Returns every call about these connectors, about none, and about one that does not exist.
fn calls(connectors: &[DrcIndex]) -> Vec<Input> {
    let states = [(Indicator::ISOLATION_STATE, 0..=2), (Indicator::ALLOCATION_STATE, 0..=3), (Indicator(9002), 0..=1)];
    let mut calls = Vec::new();
    for index in connectors.iter().copied().chain([DrcIndex(0), DrcIndex(0xFFFF_FFFF)]) {
        for (indicator, values) in states.clone() {
            calls.extend(values.map(|value| Input::SetIndicator(indicator, index, value)));
        }
        calls.extend(WORDS.map(|word| Input::SetIndicator(UNPLUG_STATUS, index, word)));
        calls.push(Input::Configure(index));
    }
    calls
}

impl Attacked {
    /// Takes the input, and checks its effects.
    fn step(&mut self, input: Input) {
        let effects = self.vmm.step(input);
        assert_eq!(effects.abort, None);
        assert!(effects.status.is_none_or(|status| !status.is_busy()), "{input}");
        if !matches!(input, Input::Withdraw(_)) {
            // Devices that go together may have one request each.
            self.asked = usize::try_from(self.vmm.last).expect("few requests are made");
        }
        for event in effects.events {
            match event {
                Event::Hotplug(..) => {}
                Event::Deleted(device, ..) => {
                    assert!(device.connectors().all(|connector| !self.vmm.usable(connector)), "{input}");
                }
                Event::Outcome(request, ..) => {
                    let ended = &mut self.ended[request.expect("the reference names requests") as usize - 1];
                    assert!(!*ended, "a second outcome after {input}");
                    *ended = true;
                }
            }
        }
        let open = self.asked - self.ended.iter().filter(|ended| **ended).count();
        assert_eq!(self.vmm.open().len(), open, "a request was lost after {input}");
    }
}

/// Returns the number of states that a guest can reach by these calls.
fn attack(vmm: Reference, connectors: &[DrcIndex], user: User) -> usize {
    let start = Attacked { vmm, asked: 0, ended: [false; 4] };
    let calls = calls(connectors);
    let mut seen = HashSet::from([start.clone()]);
    let mut frontier = vec![start];
    while let Some(state) = frontier.pop() {
        for input in user(&state.vmm, state.asked).into_iter().chain(calls.iter().copied()) {
            let mut after = state.clone();
            after.step(input);
            if seen.insert(after.clone()) {
                frontier.push(after);
            }
        }
    }
    seen.len()
}

/// PUE-V-013, PUE-V-020, PUE-V-031, PUE-V-062, PUE-V-090
#[test]
fn hostile_guest_reaches_no_state_with_a_lost_request_a_second_outcome_or_a_stolen_device() {
    let user: User = |vmm, asked| {
        let present = DEVICES.into_iter().filter(|device| asked < 2 && vmm.present(*device));
        present.map(Input::DeviceDel).collect()
    };
    let states = attack(Reference::explored(Mutant::None), &CONNECTORS, user);
    assert!(states > 10_000, "only {states} states");
}

/// PUE-V-055 to PUE-V-057: a slot of two functions, whose user withholds, asks for both and withdraws.
#[test]
fn hostile_guest_of_a_slot_loses_no_request_that_is_withheld_or_withdrawn() {
    let user: User = |vmm, asked| {
        let withdrawn = vmm.open().into_iter().map(|open| Input::Withdraw(open.request));
        let is_there = vmm.present(FUNCTION0) && vmm.present(FUNCTION1);
        let asks = [Input::Withhold(FUNCTION1), Input::Together([FUNCTION1, FUNCTION0])];
        withdrawn.chain(asks.into_iter().filter(|_| is_there && asked < 3)).collect()
    };
    let offer = Offer::new(UNPLUG_STATUS, Classes::PCI, Features::TOKEN);
    let config = Config { offer: Some(offer), ..Config::VECTORS };
    let connectors = [FUNCTION0.first, FUNCTION1.first];
    let states = attack(Reference::booted(config, [FUNCTION0, FUNCTION1]), &connectors, user);
    assert!(states > 500, "only {states} states");
}

/// PUE-V-003: what is not the offered indicator is no such indicator.
#[test]
fn vendor_indicator_that_is_not_offered_does_not_exist() {
    let mut vmm = Reference::explored(Mutant::None);
    for number in (9100..=9999).filter(|number| *number != UNPLUG_STATUS.0) {
        let effects = vmm.step(Input::SetIndicator(Indicator(number), DrcIndex(0), 0x4000_0000));
        assert_eq!(effects.status, Some(Status::NO_SUCH_INDICATOR));
    }
}
