// SPDX-License-Identifier: MIT OR Apache-2.0

//! Import of the state of a VMM without this library, connector by connector.

use crate::machine::{Machine, REPORTS};
use papr_unplug_capi::PaprUnplugError as Error;

const DIMM: u32 = 0x8000_0008;

/// Foreign state of one connector.
type Mark = (u32, u32, bool);

/// A DIMM of four LMBs, of which the guest has given the second back: QEMU migrates nothing about that one.
const HALF_RELEASED: [Mark; 3] = [(DIMM, 4, true), (DIMM + 2, 2, true), (DIMM + 3, 4, true)];

fn import(machine: &Machine, marks: &[Mark]) {
    let codes = marks.iter().map(|(index, state, is_requested)| machine.import(*index, *state, *is_requested));
    assert!(codes.into_iter().all(|code| code == 0), "{}", machine.error());
}

/// Loads these marks, from beginning to end.
fn load(machine: &Machine, marks: &[Mark]) {
    machine.load_begin();
    import(machine, marks);
    assert_eq!(machine.load_end(), 0, "{}", machine.error());
}

fn states(machine: &Machine) -> Vec<u32> {
    (DIMM..DIMM + 4).map(|index| machine.state(index)).collect()
}

/// Every order of three elements.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// PUE-V-082
#[test]
fn half_released_dimm_comes_in_any_order_and_can_be_released() {
    for order in ORDERS {
        let machine = Machine::with_dimm(DIMM, 4);
        load(&machine, &order.map(|at| HALF_RELEASED[at]));
        assert_eq!(states(&machine), [4, 1, 2, 4]);
        assert_eq!(machine.open_requests().len(), 1);
        assert_eq!([DIMM, DIMM + 1, DIMM + 4].map(|index| machine.pending(index)), [true, true, false]);

        machine.give_back(DIMM);
        machine.give_back(DIMM + 2);
        machine.give_back(DIMM + 3);
        assert_eq!(machine.effects().len(), 2);
    }
}

#[test]
fn marks_have_no_effect_until_the_load_ends() {
    let machine = Machine::with_dimm(DIMM, 4);
    import(&machine, &HALF_RELEASED[..1]);
    assert_eq!((states(&machine), machine.pending(DIMM)), (vec![4; 4], false));
    import(&machine, &HALF_RELEASED[1..]);
    assert_eq!(machine.load_end(), 0);
    assert_eq!((states(&machine), machine.open_requests().len()), (vec![4, 1, 2, 4], 1));
    // The load has ended. To end it again changes nothing.
    assert_eq!((machine.load_end(), machine.open_requests().len()), (0, 1));
}

#[test]
fn load_replaces_the_one_before() {
    let machine = Machine::with_dimm(DIMM, 4);
    load(&machine, &HALF_RELEASED);
    load(&machine, &[(DIMM, 3, false)]);
    assert_eq!((states(&machine), machine.open_requests()), (vec![3, 4, 4, 4], vec![]));
    let closed = "closed, because another state of the machine was loaded";
    assert_eq!(machine.effects(), [format!("request 1 to remove memory 0x80000008 to 0x8000000b: {closed}")]);
}

#[test]
fn marks_of_a_load_that_did_not_end_are_dropped_by_the_next() {
    let machine = Machine::with_dimm(DIMM, 4);
    import(&machine, &HALF_RELEASED);
    load(&machine, &[]);
    assert_eq!((states(&machine), machine.open_requests()), (vec![4; 4], vec![]));
}

#[test]
fn connector_that_is_said_twice_is_what_was_said_last() {
    let machine = Machine::with_dimm(DIMM, 4);
    load(&machine, &[(DIMM, 2, true), (DIMM, 4, false)]);
    assert_eq!((states(&machine), machine.pending(DIMM)), (vec![4; 4], false));
}

/// Returns a machine with an open request about a half released DIMM, promised and with a token.
fn source() -> Machine {
    let machine = Machine::with_dimm(DIMM, 4);
    assert_eq!(machine.set_indicator(REPORTS, 0, 0x2001_0004), 0);
    assert_eq!(machine.request(DIMM).0, 0);
    machine.give_back(DIMM + 1);
    assert_eq!(machine.set_indicator(9001, DIMM + 2, 0), 0);
    machine
}

/// PUE-V-081, PUE-V-083
#[test]
fn saved_state_makes_marks_void_before_and_after_it() {
    let saved = source().save();
    for order in ORDERS {
        let machine = Machine::with_dimm(DIMM, 4);
        for at in order {
            match at {
                0 => assert_eq!(machine.restore(&saved), 0),
                1 => import(&machine, &[(DIMM, 4, true), (DIMM + 2, 2, true)]),
                _ => import(&machine, &[(DIMM + 3, 4, true)]),
            }
        }
        assert_eq!((machine.load_end(), machine.save()), (0, saved.clone()));
        // The next load counts.
        load(&machine, &[(DIMM, 4, true)]);
        assert_ne!(machine.save(), saved);
    }
}

#[test]
fn saved_state_that_is_not_taken_leaves_the_marks() {
    let machine = Machine::with_dimm(DIMM, 4);
    import(&machine, &HALF_RELEASED[..2]);
    assert_eq!(machine.restore(b"PUES"), Error::BadSave as i32);
    import(&machine, &HALF_RELEASED[2..]);
    assert_eq!((machine.load_end(), states(&machine)), (0, vec![4, 1, 2, 4]));
}

#[test]
fn marks_that_a_machine_makes_are_what_it_takes() {
    let from = source();
    let machine = Machine::with_dimm(DIMM, 4);
    let marks: Vec<Mark> = (DIMM..DIMM + 4).map(|index| (index, from.state(index), from.pending(index))).collect();
    load(&machine, &marks);
    assert_eq!(states(&machine), states(&from));
    assert_eq!((machine.armed(), machine.open_requests().len()), ((0, 0), 1));
}

#[test]
fn mark_that_cannot_be_is_told_at_once_and_ignored() {
    let machine = Machine::with_dimm(DIMM, 4);
    assert_eq!(machine.import(DIMM + 4, 4, true), Error::NoSuchDevice as i32);
    assert!(machine.error().contains("plug it before importing"));
    assert_eq!([0, 5, 7, 9].map(|state| machine.import(DIMM, state, true)), [Error::BadState as i32; 4]);
    assert_eq!((states(&machine), machine.open_requests()), (vec![4; 4], vec![]));
}

/// The device would have been deleted; only the last mark shows it.
#[test]
fn device_that_is_asked_for_and_wholly_given_back_is_as_if_nothing_was_said_of_it() {
    for order in ORDERS {
        let machine = Machine::with_dimm(DIMM, 2);
        assert_eq!(machine.add(1, 0x1000_0000, 1), 0);
        assert_eq!(machine.attach(0x1000_0000, 1, true), 0);
        load(&machine, &order.map(|at| [(DIMM, 1, true), (DIMM + 1, 1, false), (0x1000_0000, 4, true)][at]));
        assert_eq!([DIMM, DIMM + 1].map(|index| machine.state(index)), [4, 4]);
        assert_eq!(machine.open_requests().iter().map(|request| request.first).collect::<Vec<_>>(), [0x1000_0000]);
    }
}

#[test]
fn more_removals_than_the_machine_takes_are_told_where_they_come() {
    let machine = Machine::new(1);
    assert_eq!(machine.add(1, 0x1000_0000, 2), 0);
    assert_eq!([0x1000_0000, 0x1000_0001].map(|index| machine.attach(index, 1, true)), [0, 0]);
    assert_eq!([4, 4].map(|state| machine.import(0x1000_0000, state, true)), [0, 0]);
    assert_eq!(machine.import(0x1000_0001, 4, true), Error::TooMany as i32);
    assert_eq!((machine.import(0x1000_0001, 3, false), machine.load_end()), (0, 0));
    assert_eq!(machine.open_requests().iter().map(|request| request.first).collect::<Vec<_>>(), [0x1000_0000]);
    assert_eq!(machine.state(0x1000_0001), 3);
}
