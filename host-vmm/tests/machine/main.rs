// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random histories of a whole machine: the crate answers every call as the reference does.

#[path = "../oracle/mod.rs"]
pub mod oracle;

use oracle::{
    action::{Action, Input, Report, TokenChoice},
    expected::Oracle,
    machine::{DEVICES, OFFERS, indexes},
    subject::Subject,
};
use papr_unplug::wire::offer::Offer;
use papr_unplug_model::machine::Device;
use proptest::{prelude::*, sample::select};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::fmt;

/// Oracle about a machine in which everything is plugged and configured.
#[derive(Clone)]
struct Machine(Oracle);

/// Prints the offer only: the beginning follows from it.
impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Machine").field(&self.0.reference.config.offer).finish()
    }
}

fn configured(offer: Option<Offer>) -> Machine {
    let mut oracle = Oracle::new(offer);
    beginning().for_each(|action| oracle.apply(action));
    Machine(oracle)
}

fn beginning() -> impl Iterator<Item = Action> {
    (0..DEVICES.len() as u8).flat_map(|device| [Action::Plug(device), Action::Boot(device)])
}

fn place() -> impl Strategy<Value = u8> {
    0..indexes().len() as u8
}

fn name() -> impl Strategy<Value = TokenChoice> {
    prop_oneof![
        6 => (0_u8..5).prop_map(TokenChoice::Open),
        2 => Just(TokenChoice::None),
        1 => (0_u8..8).prop_map(TokenChoice::Past),
        1 => Just(TokenChoice::Never),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let classes = prop_oneof![Just(0x7E_u16), Just(0x06), Just(0x02), Just(0x04), any::<u16>()];
    prop_oneof![
        3 => (classes, 0_u8..5).prop_map(|(classes, features)| Report::Arm { classes, features }),
        1 => Just(Report::Disarm),
        1 => name().prop_map(Report::Started),
        4 => (name(), 0_u8..32, any::<u8>()).prop_map(|(name, reason, errno)| Report::Refused(name, reason, errno)),
        2 => name().prop_map(Report::Done),
    ]
}

fn words() -> impl Strategy<Value = [u32; 3]> {
    let indicators = vec![9000, 9001, 9002, 9003, 9004, 9100, 9101, 9555, 9999, 10000];
    (select(indicators), select(indexes()), prop_oneof![0..5_u32, any::<u32>()]).prop_map(|(a, b, c)| [a, b, c])
}

/// Returns the place of a connector in [`indexes`].
fn place_of(index: u32) -> u8 {
    indexes().iter().position(|one| *one == index).map_or(0, |place| place as u8)
}

impl ReferenceStateMachine for Machine {
    type State = Self;
    type Transition = Action;

    fn init_state() -> BoxedStrategy<Self> {
        prop_oneof![
            1 => Just(configured(None)),
            6 => select(&OFFERS[..]).prop_map(|offer| configured(Some(offer))),
        ]
        .boxed()
    }

    fn transitions(Self(oracle): &Self) -> BoxedStrategy<Action> {
        let device = || 0..DEVICES.len() as u8;
        // A guest that was asked moves the connectors of open requests.
        let requests = oracle.reference.requests.iter();
        let asked: Vec<u8> = requests
            .map(|request| request.device)
            .flat_map(Device::connectors)
            .map(|connector| place_of(connector.0))
            .chain([1])
            .collect();
        let at = |report: Report, place| match report {
            Report::Arm { .. } | Report::Disarm => Action::Report(0, report),
            _ => Action::Report(place, report),
        };
        prop_oneof![
            4 => device().prop_map(Action::Request),
            8 => (select(asked.clone()), select(&Input::ALL[..])).prop_map(|(place, input)| Action::Move(place, input)),
            3 => (place(), select(&Input::ALL[..])).prop_map(|(place, input)| Action::Move(place, input)),
            6 => (select(asked), report()).prop_map(move |(place, report)| at(report, place)),
            2 => (place(), report()).prop_map(|(place, report)| Action::Report(place, report)),
            2 => device().prop_map(Action::Plug),
            2 => device().prop_map(Action::Boot),
            1 => device().prop_map(Action::Unplug),
            1 => place().prop_map(Action::Sense),
            1 => words().prop_map(Action::Words),
            1 => (place(), any::<u32>()).prop_map(|(place, word)| Action::Word(place, word)),
            1 => device().prop_map(Action::Withhold),
            1 => (device(), device()).prop_map(|(one, last)| Action::Together(one, last)),
            1 => (0_u8..5).prop_map(Action::Withdraw),
            1 => Just(Action::Reset),
            1 => Just(Action::Cas),
            1 => Just(Action::Snapshot),
            2 => Just(Action::Load),
            1 => proptest::option::of(0_u8..3).prop_map(Action::Offer),
            2 => Just(Action::Migrate),
            1 => any::<bool>().prop_map(|detached| Action::Import { detached }),
        ]
        .boxed()
    }

    fn apply(Self(mut oracle): Self, action: &Action) -> Self {
        oracle.apply(*action);
        Self(oracle)
    }
}

struct Test;

impl StateMachineTest for Test {
    type SystemUnderTest = Subject;
    type Reference = Machine;

    fn init_test(Machine(oracle): &Machine) -> Subject {
        let offer = oracle.reference.config.offer;
        let mut subject = Subject::new(offer);
        let mut begun = Oracle::new(offer);
        for action in beginning() {
            begun.apply(action);
            subject.apply(action, &begun);
        }
        subject
    }

    fn apply(mut subject: Subject, Machine(oracle): &Machine, action: Action) -> Subject {
        subject.apply(action, oracle);
        subject.check_saved(&oracle.reference);
        subject
    }
}

/// Number of histories: few under Miri, which is slow.
const CASES: u32 = if cfg!(miri) { 2 } else { 400 };

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    /// PUE-V-020 to PUE-V-026, PUE-V-030 to PUE-V-043, PUE-V-050 to PUE-V-057, PUE-V-060 to PUE-V-067, PUE-V-070 to
    /// PUE-V-072, PUE-V-080 to PUE-V-083, PUE-V-086 to PUE-V-088, PUE-V-090, PUE-V-100, PUE-V-104, PUE-V-105: histories
    /// with resets, migrations, imports and loads anywhere.
    #[test]
    fn any_history_is_answered_as_the_text_says(sequential 1..100 => Test);
}
