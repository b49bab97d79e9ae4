// SPDX-License-Identifier: MIT OR Apache-2.0

//! Import of the state of a VMM without this crate.

use papr_unplug::{
    Config, Offer, Span, Tracker,
    drc::State,
    event::{Ask, Event, Requested},
    foreign::{Foreign, ImportError},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{Indicator, Status},
        token::Token,
    },
};

const CPU: DrcIndex = DrcIndex(0x1000_0001);
const LMB0: DrcIndex = DrcIndex(0x8000_0008);
const LMB1: DrcIndex = DrcIndex(0x8000_0009);

/// Returns a machine with a CPU and a DIMM of two LMBs that waits for a migration.
fn machine(max_open: usize) -> Tracker {
    let offer = Offer::new(Indicator(9100), Classes::CPU | Classes::MEMORY, Features::TOKEN);
    let mut machine = Tracker::new(Config::default().offer(offer).max_open(max_open));
    for (resource, span) in [(Resource::CPU, Span::from(CPU)), (Resource::MEMORY, Span::new(LMB0, 2).unwrap())] {
        machine.add_connectors(resource, span).unwrap();
        machine.plug(span).unwrap();
    }
    machine
}

fn mark(index: DrcIndex, state: u32) -> Foreign {
    Foreign { index, state, unplug_requested: true }
}

/// PUE-V-082
#[test]
fn nothing_said_is_a_machine_in_which_everything_is_configured() {
    let mut machine = machine(4);
    machine.import(&[], &mut ()).unwrap();
    assert_eq!([CPU, LMB0, LMB1].map(|index| machine.state(index)), [Some(State::LogicalConfigured); 3]);
    assert_eq!((machine.requests().len(), machine.armed()), (0, (Classes::empty(), Features::empty())));
}

/// PUE-V-082: QEMU migrates nothing about an LMB that it got back, because it has detached it.
#[test]
fn dimm_that_is_half_gone_is_one_request_and_goes_with_its_last_lmb() {
    let mut machine = machine(4);
    machine.import(&[mark(LMB1, 4)], &mut ()).unwrap();
    assert_eq!(machine.state(LMB0), Some(State::LogicalUnusable));
    assert_eq!(machine.requests().len(), 1);
    let mut events = Vec::new();
    assert_eq!(machine.set_indicator(&[9001, LMB1.0, 0], &mut events), Status::SUCCESS);
    assert_eq!(machine.set_indicator(&[9003, LMB1.0, 0], &mut events), Status::SUCCESS);
    assert!(matches!(events[..], [Event::Ended(_), Event::Deleted(gone)] if gone.device.connectors.first() == LMB0));
}

/// PUE-V-082: a guest that was armed before gets -9006, and arms again.
#[test]
fn imported_request_has_no_token_and_the_next_one_after_arming_has() {
    let mut machine = machine(4);
    machine.import(&[mark(CPU, 4)], &mut ()).unwrap();
    let request = machine.requests()[0];
    assert_eq!((request.token, request.promised, request.hint), (Token::NONE, false, None));
    assert_eq!(machine.set_indicator(&[9100, CPU.0, 0x8610_0001], &mut ()), Status::NOT_ARMED);
    assert_eq!(machine.set_indicator(&[9100, 0, 0x2001_0002], &mut ()), Status::SUCCESS);
    let requested = machine.request(CPU, &mut ());
    assert!(matches!(requested, Ok(Requested::Ask(Ask { token, .. })) if token.is_some()));
}

/// PUE-V-084: a VMM that got all connectors of a device back has deleted it.
#[test]
fn device_that_is_wanted_and_given_back_wholly_is_rejected_and_nothing_changes() {
    let mut machine = machine(4);
    let before = machine.save();
    let gone = [vec![mark(CPU, 1)], vec![mark(LMB0, 1)], vec![mark(LMB0, 1), mark(LMB1, 1)]];
    for marks in gone {
        let first = marks[0].index;
        assert_eq!(machine.import(&marks, &mut ()), Err(ImportError::BadState(first, 1)));
        assert_eq!(machine.save(), before);
    }
}

/// PUE-V-084
#[test]
fn statement_that_no_machine_can_make_is_rejected_and_nothing_changes() {
    let mut machine = machine(1);
    let before = machine.save();
    assert_eq!(machine.device_of(&mark(LMB1, 4)).map(|device| device.connectors.first()), Ok(LMB0));
    assert_eq!(machine.device_of(&mark(CPU, 1)), Err(ImportError::BadState(CPU, 1)));
    assert_eq!(machine.import(&[mark(DrcIndex(7), 4)], &mut ()), Err(ImportError::NoDevice(DrcIndex(7))));
    for state in [0, 5, 6, 7, 8, 9, u32::MAX] {
        assert_eq!(machine.import(&[mark(CPU, state)], &mut ()), Err(ImportError::BadState(CPU, state)));
    }
    assert_eq!(machine.import(&[mark(CPU, 4), mark(LMB0, 4)], &mut ()), Err(ImportError::TooMany(1)));
    assert_eq!(machine.save(), before);
}
