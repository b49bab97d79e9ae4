// SPDX-License-Identifier: MIT OR Apache-2.0

//! Layout of a machine. A change that fails changes nothing.

use papr_unplug::{
    Answer, Config, Span, TopologyError, Tracker,
    drc::State,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        rtas::{EntitySense, Status},
    },
};

const CORE: DrcIndex = DrcIndex(0x1000_0001);
const FUNCTION: DrcIndex = DrcIndex(0x1000_0002);
const LMB: DrcIndex = DrcIndex(0x8000_0000);

/// Returns a machine with a core and a PCI function with neighbouring indexes, and four LMBs, of which two are a DIMM.
fn machine() -> Tracker {
    let mut machine = Tracker::new(Config::default());
    machine.add_connectors(Resource::CPU, CORE.into()).unwrap();
    machine.add_connectors(Resource::PCI, FUNCTION.into()).unwrap();
    machine.add_connectors(Resource::MEMORY, Span::new(LMB, 4).unwrap()).unwrap();
    machine.plug(Span::new(LMB, 2).unwrap()).unwrap();
    machine
}

fn unchanged(change: impl FnOnce(&mut Tracker) -> Result<(), TopologyError>, error: TopologyError) {
    let mut machine = machine();
    let before = machine.save();
    assert_eq!(change(&mut machine), Err(error));
    assert_eq!(machine.save(), before);
    let spare = DrcIndex(LMB.0 + 2);
    assert_eq!((machine.state(spare), machine.device(spare)), (Some(State::LogicalUnusable), None));
}

#[test]
fn connectors_are_added_all_or_none() {
    let overlapping = Span::new(DrcIndex(LMB.0 - 1), 2).unwrap();
    unchanged(|one| one.add_connectors(Resource::MEMORY, overlapping), TopologyError::ConnectorExists(LMB));
    assert_eq!(machine().state(DrcIndex(LMB.0 - 1)), None);
    let unknown = Resource(9);
    unchanged(|one| one.add_connectors(unknown, DrcIndex(7).into()), TopologyError::UnknownResource(unknown));
}

/// Memory is bounded before it is taken.
#[test]
fn connectors_beyond_the_bound_are_not_added() {
    let all = Span::new(DrcIndex(0), u32::MAX).unwrap();
    unchanged(|one| one.add_connectors(Resource::MEMORY, all), TopologyError::TooManyConnectors);
}

#[test]
fn device_is_plugged_behind_connectors_that_are_free_and_alike() {
    let too_far = Span::new(DrcIndex(LMB.0 + 2), 3).unwrap();
    unchanged(|one| one.plug(too_far), TopologyError::NoSuchConnector(DrcIndex(LMB.0 + 4)));
    unchanged(|one| one.plug(DrcIndex(LMB.0 + 1).into()), TopologyError::Occupied(DrcIndex(LMB.0 + 1)));
    unchanged(|one| one.plug(Span::new(CORE, 2).unwrap()), TopologyError::MixedResources(FUNCTION));
}

#[test]
fn connectors_are_removed_only_if_nothing_is_behind_them() {
    let mut machine = machine();
    assert_eq!(machine.remove_connectors(Span::new(LMB, 4).unwrap()), Err(TopologyError::Occupied(LMB)));
    assert!(machine.unplug(LMB, &mut ()));
    assert!(!machine.unplug(LMB, &mut ()));
    machine.remove_connectors(Span::new(LMB, 4).unwrap()).unwrap();
    assert_eq!(machine.state(LMB), None);
    assert_eq!(machine.set_indicator(&[9001, LMB.0, 0], &mut ()), Status::NO_SUCH_INDICATOR);
}

#[test]
fn sensor_says_what_is_there() {
    let mut machine = machine();
    let sense = |machine: &Tracker, index: DrcIndex| machine.get_sensor_state(&[9003, index.0]);
    assert_eq!(sense(&machine, LMB), (Status::SUCCESS, EntitySense::UNUSABLE));
    assert_eq!(sense(&machine, FUNCTION), (Status::SUCCESS, EntitySense::EMPTY));
    machine.plug(FUNCTION.into()).unwrap();
    machine.boot(LMB);
    assert_eq!(sense(&machine, LMB), (Status::SUCCESS, EntitySense::PRESENT));
    assert_eq!(sense(&machine, FUNCTION), (Status::SUCCESS, EntitySense::PRESENT));
    assert_eq!(sense(&machine, DrcIndex(7)), (Status::NO_SUCH_INDICATOR, EntitySense::EMPTY));
}

/// A call with another number of words does not exist.
#[test]
fn call_with_a_wrong_number_of_words_does_not_exist() {
    let mut machine = machine();
    for words in [&[9001, LMB.0][..], &[9001, LMB.0, 0, 0], &[]] {
        assert_eq!(machine.set_indicator(words, &mut ()), Status::NO_SUCH_INDICATOR);
        assert_eq!(machine.get_sensor_state(&words.repeat(2)).0, Status::NO_SUCH_INDICATOR);
    }
    assert_eq!(machine.get_sensor_state(&[9001, LMB.0]), (Status::NO_SUCH_INDICATOR, EntitySense::EMPTY));
}

/// LoPAR: physical connectors have a DR indicator (9002), logical ones have none.
#[test]
fn dr_indicator_is_that_of_physical_connectors() {
    let mut machine = machine();
    let mut set = |index: DrcIndex| machine.set_indicator(&[9002, index.0, 1], &mut ());
    assert_eq!([FUNCTION, CORE, DrcIndex(7)].map(&mut set), [Status(0), Status(-3), Status(-3)].map(Answer::from));
}
