// SPDX-License-Identifier: MIT OR Apache-2.0

//! One connector, exhaustively: every resource, state, occupant and input. The properties are written so that Kani can
//! prove them.

use papr_unplug::{
    drc::{Connector, Effect, Input, Kind, Occupant, State, step},
    wire::{hotplug::Resource, rtas::Status},
};
use papr_unplug_model::lopar;

const RESOURCES: [Resource; 6] =
    [Resource::CPU, Resource::MEMORY, Resource::SLOT, Resource::PHB, Resource::PCI, Resource::PMEM];
const OCCUPANTS: [Occupant; 4] = [Occupant::Nobody, Occupant::Kept, Occupant::Wanted, Occupant::Asked];
const INPUTS: [Input; 6] =
    [Input::Isolate, Input::Unisolate, Input::Unusable, Input::Usable, Input::Configure, Input::Configured];

/// Every connector whose state is of its resource's kind, with every input.
#[cfg(not(kani))]
fn for_all(property: impl Fn(Connector, Input)) {
    for resource in RESOURCES {
        let states = (0..=9).filter_map(State::from_number).filter(|state| Kind::of(resource) == Some(state.kind()));
        for state in states {
            for occupant in OCCUPANTS {
                INPUTS.iter().for_each(|input| property(Connector { resource, state, occupant }, *input));
            }
        }
    }
}

/// Checks a symbolic connector, which stands for every one.
#[cfg(kani)]
fn for_all(property: impl Fn(Connector, Input)) {
    fn one_of<T: Copy>(all: &[T]) -> T {
        let place: usize = kani::any_where(|place| *place < all.len());
        all[place]
    }
    let state = State::from_number(kani::any());
    kani::assume(state.is_some());
    let connector = Connector { resource: one_of(&RESOURCES), state: state.unwrap(), occupant: one_of(&OCCUPANTS) };
    kani::assume(Kind::of(connector.resource) == Some(connector.state.kind()));
    property(connector, one_of(&INPUTS));
}

#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn connector_stays_in_the_states_of_its_kind() {
    for_all(|connector, input| assert_eq!(step(connector, input).state.kind(), connector.state.kind()));
}

/// PUE-V-090: what fails has changed nothing.
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn input_that_fails_changes_nothing() {
    for_all(|connector, input| {
        let step = step(connector, input);
        let is_nothing = step.state == connector.state && step.effect == Effect::Nothing;
        assert!(step.status.is_success() || is_nothing, "{connector:?} {input:?}");
    });
}

/// PUE-V-042, and LoPAR: "a null transition always succeeds".
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn null_transition_succeeds() {
    for_all(|connector, input| {
        let is_null = match input {
            Input::Isolate => matches!(connector.state.number(), 1 | 2 | 6),
            Input::Unisolate => matches!(connector.state.number(), 3 | 4 | 7 | 8),
            Input::Usable => matches!(connector.state.number(), 2..=4),
            Input::Unusable => connector.state.number() == 1,
            Input::Configure | Input::Configured => false,
        };
        let step = step(connector, input);
        let succeeds = step.status == Status::SUCCESS && step.state == connector.state;
        assert!(!is_null || succeeds, "{connector:?} {input:?}");
    });
}

/// PUE-V-040, PUE-V-041: "Level 0" has two hints, and nothing else is one.
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn hint_is_what_level_0_says_and_nothing_else() {
    for_all(|connector, input| {
        let is_hint = match (input, connector.state) {
            (Input::Unisolate, State::LogicalUnisolate | State::LogicalConfigured) => true,
            (Input::Unisolate, State::PhysicalUnisolate | State::PhysicalConfigured) => true,
            (Input::Configure, State::LogicalConfigured) => connector.resource == Resource::MEMORY,
            _ => false,
        };
        let is_hint = is_hint && connector.occupant != Occupant::Nobody;
        assert_eq!(step(connector, input).effect == Effect::Hint, is_hint, "{connector:?} {input:?}");
    });
}

/// PUE-V-060: a device may go only when a connector came to be given back.
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn given_back_is_a_connector_that_was_held_and_is_not() {
    for_all(|connector, input| {
        let step = step(connector, input);
        let is_given_back = !connector.state.is_given_back() && step.state.is_given_back();
        let means_it = is_given_back && connector.occupant != Occupant::Nobody;
        assert_eq!(step.effect == Effect::GivenBack, means_it, "{connector:?} {input:?}");
    });
}

/// PUE-V-061: "USABLE, or UNISOLATE of an isolated connector".
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn taken_is_a_connector_that_was_given_back_or_isolated() {
    for_all(|connector, input| {
        let step = step(connector, input);
        let takes = matches!(
            (input, connector.state),
            (Input::Usable, State::LogicalUnusable)
                | (Input::Unisolate, State::LogicalAvailable | State::PhysicalPowerOn)
        );
        let means_it = takes && step.status.is_success() && connector.occupant != Occupant::Nobody;
        assert_eq!(step.effect == Effect::Taken, means_it, "{connector:?} {input:?}");
    });
}

/// PUE-V-064
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn isolating_succeeds_whether_or_not_the_removal_is_wanted() {
    for_all(|connector, input| {
        let succeeds = step(connector, input).status.is_success();
        assert!(input != Input::Isolate || succeeds, "{connector:?}");
    });
}

/// PUE-V-067
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn lmb_that_was_given_back_though_its_dimm_is_kept_can_be_configured_again() {
    for_all(|connector, _| {
        let inputs = [Input::Isolate, Input::Unusable, Input::Usable, Input::Unisolate, Input::Configured];
        let is_kept_lmb = connector.resource == Resource::MEMORY && connector.occupant == Occupant::Kept;
        let after = inputs.iter().fold((connector, true), |(before, is_taken), input| {
            let step = step(before, *input);
            (Connector { state: step.state, ..before }, is_taken && step.status.is_success())
        });
        let is_ready = after == (Connector { state: State::LogicalConfigured, ..connector }, true);
        assert!(!is_kept_lmb || is_ready, "{connector:?}");
    });
}

/// PUE-V-066
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn taking_back_what_was_given_back_fails_while_a_request_is_open() {
    for_all(|connector, input| {
        if input == Input::Usable && connector.state == State::LogicalUnusable {
            let may = matches!(connector.occupant, Occupant::Kept | Occupant::Wanted);
            assert_eq!(step(connector, input).status.is_success(), may, "{connector:?}");
        }
    });
}

#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn empty_connector_cannot_be_taken_and_means_nothing() {
    for_all(|connector, input| {
        if connector.occupant == Occupant::Nobody {
            let step = step(connector, input);
            assert_eq!(step.effect, Effect::Nothing);
            assert!(!connector.state.is_given_back() || step.state.is_given_back(), "{connector:?} {input:?}");
        }
    });
}

/// Every other step is in LoPAR's table, as QEMU reads it.
#[cfg_attr(not(kani), test)]
#[cfg_attr(kani, kani::proof)]
fn every_other_step_is_in_the_table() {
    for_all(|connector, input| {
        let same = lopar::Input::ALL[INPUTS.iter().position(|one| *one == input).unwrap()];
        let (after, status) = lopar::transition(connector.state.number(), same);
        let step = step(connector, input);
        let is_exception = match (input, connector.state.number()) {
            (Input::Usable, 1) => matches!(connector.occupant, Occupant::Nobody | Occupant::Asked),
            (Input::Unisolate, 6) => connector.occupant == Occupant::Nobody,
            _ => false,
        };
        let is_in_table = (step.state.number(), step.status) == (after, status);
        assert!(is_in_table != is_exception, "{connector:?} {input:?}");
    });
}

/// The numbers are those that QEMU migrates.
#[test]
fn states_are_pinned_by_number() {
    let numbers: Vec<_> = (0..=255).filter(|number| State::from_number(*number).is_some()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 6, 7, 8]);
    assert!(numbers.iter().all(|number| State::from_number(*number).map(|s| u32::from(s.number())) == Some(*number)));
    assert!((0..=u8::MAX).map(Resource).filter(|one| Kind::of(*one).is_some()).eq(RESOURCES.iter().copied()));
}
