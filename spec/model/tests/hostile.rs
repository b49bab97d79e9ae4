// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest that makes any call at any time, against the reference VMM: every state that it can reach.

use papr_unplug_model::{
    machine::{DEVICES, UNPLUG_STATUS},
    mutant::Mutant,
    reference::Reference,
    vmm::{Event, Input, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    rtas::{Indicator, Status},
};
use std::collections::HashSet;

/// The VMM, and which requests have had their outcome.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Attacked {
    vmm: Reference,
    asked: usize,
    ended: [bool; 3],
}

const INDEXES: [DrcIndex; 5] =
    [DrcIndex(0), DrcIndex(0x1000_0001), DrcIndex(0x8000_0008), DrcIndex(0x8000_0009), DrcIndex(0xFFFF_FFFF)];

/// ARM of each class, DISARM, each report with no token, the first, the second and one that was never given, and words
/// that mean nothing.
const WORDS: [u32; 18] = [
    0x2001_0002,
    0x2001_0004,
    0x2001_0006,
    0x2000_0006,
    0x2001_0040,
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

fn calls() -> Vec<Input> {
    let states = [(Indicator::ISOLATION_STATE, 0..=2), (Indicator::ALLOCATION_STATE, 0..=3), (Indicator(9002), 0..=1)];
    let mut calls = Vec::new();
    for index in INDEXES {
        for (indicator, values) in states.clone() {
            calls.extend(values.map(|value| Input::SetIndicator(indicator, index, value)));
        }
        calls.extend(WORDS.map(|word| Input::SetIndicator(UNPLUG_STATUS, index, word)));
        calls.push(Input::Configure(index));
    }
    calls
}

impl Attacked {
    /// Takes the input, and checks all that was told.
    fn step(&mut self, input: Input) {
        let effects = self.vmm.step(input);
        assert_eq!(effects.abort, None);
        assert!(effects.status.is_none_or(|status| !status.is_busy()), "{input}");
        self.asked += usize::from(matches!(effects.asked, Some(Ok(_))));
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

/// PUE-V-013, PUE-V-020, PUE-V-031, PUE-V-062, PUE-V-090
#[test]
fn hostile_guest_reaches_no_state_with_a_lost_request_a_second_outcome_or_a_stolen_device() {
    let start = Attacked { vmm: Reference::explored(Mutant::None), asked: 0, ended: [false; 3] };
    let calls = calls();
    let mut seen = HashSet::from([start.clone()]);
    let mut frontier = vec![start];
    while let Some(state) = frontier.pop() {
        let present = DEVICES.into_iter().filter(|device| state.asked < 2 && state.vmm.present(*device));
        for input in present.map(Input::DeviceDel).chain(calls.iter().copied()) {
            let mut after = state.clone();
            after.step(input);
            if seen.insert(after.clone()) {
                frontier.push(after);
            }
        }
    }
    assert!(seen.len() > 10_000, "only {} states", seen.len());
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
