// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every report and every transition, in every state of a CPU and a DIMM of two LMBs, with every set of up to three
//! open requests: with and without tokens, promised and not, hinted and not, armed and not.

#[path = "oracle/mod.rs"]
pub mod oracle;

use oracle::{
    action::{Action, Input, Report, TokenChoice},
    expected::Oracle,
    machine::{DEVICES, OFFERS, UNKNOWN, VACANT, index, indexes, plan},
    subject::Subject,
};
use papr_unplug::wire::{
    offer::{Classes, Features},
    token::Token,
};
use papr_unplug_model::{
    lopar,
    machine::Device,
    reference::{Plugged, Reference, Request},
};

const CORE: u8 = 0;
const DIMM: u8 = 3;
const ARMED: [Classes; 4] = [Classes::empty(), Classes::CPU, Classes::MEMORY, Classes::CPU.union(Classes::MEMORY)];

/// Returns a machine with both devices, with these classes armed and no request open.
fn machine(armed: Classes) -> Reference {
    let mut reference = Oracle::new(Some(OFFERS[0])).reference;
    for device in [CORE, DIMM].map(plan) {
        reference.plug(device);
        reference.boot(device);
    }
    let features = if armed.is_empty() { Features::empty() } else { Features::all() };
    (reference.armed, reference.features) = (armed, features);
    reference
}

/// Returns the same machine after refusals: the removal of both devices is still wanted (PUE-V-061).
fn refused(armed: Classes) -> Reference {
    let mut reference = machine(armed);
    reference.plugged.iter_mut().for_each(|plugged| plugged.wanted = true);
    reference
}

/// Returns the reference with one request more, in every way.
fn with_one_more(reference: &Reference) -> Vec<Reference> {
    let mut more = Vec::new();
    for device in [CORE, DIMM].map(plan) {
        let is_armed = reference.armed.contains(device.class());
        let is_oldest = reference.open_of(device).next().is_none();
        let hints = [None, Some(device.first)];
        for (has_token, promised) in [(false, false), (true, false), (true, true)] {
            for hint in hints {
                // Nothing is promised where nothing is armed; a hint is kept with the oldest request, if that is
                // promised.
                if (is_armed || !promised) && (hint.is_none() || (is_oldest && promised)) {
                    let mut after = reference.clone();
                    after.last += 1;
                    after.tokens += 1;
                    let id = after.last;
                    let token = if has_token { Token(id as u16) } else { Token::NONE };
                    let imported = !has_token && id % 2 == 0;
                    after.requests.push(Request { token, promised, imported, hint, ..Request::new(id, device) });
                    after.plugged.iter_mut().filter(|one| one.device == device).for_each(|one| one.wanted = true);
                    more.push(after);
                }
            }
        }
    }
    more
}

/// Returns the reference with every set of up to `most` requests.
fn with_requests(reference: Reference, most: usize) -> Vec<Reference> {
    let mut sets = vec![vec![reference]];
    for _ in 0..most {
        let more = sets.last().into_iter().flatten().flat_map(with_one_more).collect();
        sets.push(more);
    }
    sets.concat()
}

/// Returns the reference with its connectors in every combination of these states, except where a wanted device would
/// be gone.
fn with_states(reference: &Reference, core: &[u8], lmbs: &[u8]) -> Vec<Reference> {
    let mut all = Vec::new();
    for (core, first, second) in
        core.iter().flat_map(|core| lmbs.iter().flat_map(move |one| lmbs.iter().map(move |two| (*core, *one, *two))))
    {
        let mut after = reference.clone();
        let states = [(DEVICES[0].first, core), (DEVICES[3].first, first), (DEVICES[3].last(), second)];
        for connector in &mut after.connectors {
            let state = states.iter().find(|(index, _)| *index == connector.index);
            connector.state = state.map_or(connector.state, |(_, state)| *state);
        }
        let is_gone = |plugged: &Plugged| {
            let is_empty = |index| states.contains(&(index, 1));
            plugged.wanted && plugged.device.connectors().all(is_empty)
        };
        if !after.plugged.iter().any(is_gone) {
            all.push(after);
        }
    }
    all
}

/// Returns the places in [`indexes`] of every connector of the devices, of a vacant one, of an unknown one and of index
/// 0.
fn places() -> Vec<u8> {
    let devices = [DEVICES[0], DEVICES[3], VACANT].into_iter().flat_map(Device::connectors);
    let used: Vec<u32> = devices.map(|connector| connector.0).chain([0, UNKNOWN]).collect();
    (0..indexes().len() as u8).filter(|place| used.contains(&index(*place).0)).collect()
}

fn check(before: &Reference, actions: &[Action]) {
    let subject = Subject::of(before);
    for action in actions {
        let (mut oracle, mut subject) = (Oracle::of(before.clone()), subject.clone());
        oracle.apply(*action);
        subject.apply(*action, &oracle);
    }
}

/// Returns reports of every class: each opcode, with no token, each open one, an ended one and one that was never
/// given.
fn reports() -> Vec<Action> {
    let names = [
        TokenChoice::None,
        TokenChoice::Open(0),
        TokenChoice::Open(1),
        TokenChoice::Open(2),
        TokenChoice::Past(200),
        TokenChoice::Never,
    ];
    let about =
        names.into_iter().flat_map(|name| [Report::Started(name), Report::Refused(name, 6, 16), Report::Done(name)]);
    let arms = ARMED
        .into_iter()
        .filter(|classes| !classes.is_empty())
        .flat_map(|classes| [1, 0].map(|features| Report::Arm { classes: classes.0, features }));
    let not_offered = [Report::Arm { classes: 0x80, features: 0 }, Report::Arm { classes: 2, features: 4 }];
    let reports: Vec<Report> = about.chain(arms).chain(not_offered).chain([Report::Disarm]).collect();
    let said = |place| reports.iter().map(move |report| Action::Report(place, *report));
    let malformed = [0, 0x2000_0000, 0x2100_0002, 0x4000_0001, 0x6001_0000, 0xA100_0000, 0xC000_0000, u32::MAX];
    let words = |place| malformed.into_iter().map(move |word| Action::Word(place, word));
    places().into_iter().flat_map(|place| said(place).chain(words(place)).collect::<Vec<_>>()).collect()
}

fn transitions() -> Vec<Action> {
    let inputs = |place| Input::ALL.map(|input| Action::Move(place, input));
    places().into_iter().flat_map(inputs).collect()
}

/// Returns all, or a sample under miri, which is slow.
fn sample(all: Vec<Reference>) -> impl Iterator<Item = Reference> {
    all.into_iter().step_by(if cfg!(miri) { 1009 } else { 1 })
}

/// PUE-V-012 to PUE-V-017, PUE-V-030 to PUE-V-039
#[test]
fn every_report_is_answered_as_the_text_says_whatever_is_open() {
    let reports = reports();
    for set in ARMED.into_iter().flat_map(|armed| sample(with_requests(machine(armed), 3))) {
        with_states(&set, &[4], &[1, 4]).iter().for_each(|before| check(before, &reports));
    }
}

/// PUE-V-040 to PUE-V-042, PUE-V-060 to PUE-V-066
#[test]
fn every_transition_is_answered_as_the_text_says_whatever_is_open() {
    let transitions = transitions();
    for set in ARMED.into_iter().flat_map(|armed| sample(with_requests(machine(armed), 2))) {
        with_states(&set, &lopar::LOGICAL, &lopar::LOGICAL).iter().for_each(|before| check(before, &transitions));
    }
    for set in ARMED.into_iter().flat_map(|armed| sample(with_requests(refused(armed), 1))) {
        with_states(&set, &lopar::LOGICAL, &lopar::LOGICAL).iter().for_each(|before| check(before, &transitions));
    }
    for set in ARMED.into_iter().flat_map(|armed| sample(with_requests(machine(armed), 3))) {
        with_states(&set, &[2, 4], &[1, 2, 4]).iter().for_each(|before| check(before, &transitions));
    }
}

/// PUE-V-016, PUE-V-020 to PUE-V-026, PUE-V-050 to PUE-V-054, PUE-V-070 to PUE-V-072, PUE-V-080 to PUE-V-083
#[test]
fn everything_else_is_answered_as_the_text_says_whatever_is_open() {
    let devices = [CORE, DIMM];
    let of_devices = devices.into_iter().flat_map(|one| [Action::Request(one), Action::Unplug(one), Action::Boot(one)]);
    let moves = [
        Action::Import { detached: false },
        Action::Import { detached: true },
        Action::Migrate,
        Action::Reset,
        Action::Cas,
        Action::Withhold(CORE),
        Action::Together(CORE, DIMM),
        Action::Together(DIMM, CORE),
        Action::Withdraw(0),
        Action::Withdraw(1),
    ];
    let offers = [Action::Offer(None), Action::Offer(Some(1))];
    let actions: Vec<Action> = of_devices.chain(moves).chain(offers).collect();
    for set in ARMED.into_iter().flat_map(|armed| sample(with_requests(machine(armed), 3))) {
        with_states(&set, &[1, 2, 4], &[1, 4]).iter().for_each(|before| check(before, &actions));
    }
}
