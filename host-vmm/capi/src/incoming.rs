// SPDX-License-Identifier: MIT OR Apache-2.0

//! What arrives by migration, in pieces and in any order.
//!
//! A VMM that knows level 0 only says something about single connectors, and [`Tracker::import`] wants all of it at once: of
//! whatever was not mentioned it concludes something too. So it is collected until somebody wants to know.

use papr_unplug::{
    Tracker,
    drc::State,
    event::Events,
    foreign::{Foreign, ImportError},
    wire::drc::DrcIndex,
};
use std::collections::{BTreeMap, BTreeSet};

/// What has arrived.
pub(crate) enum Incoming {
    /// Nothing, or the machine has run since.
    Nothing,
    /// Single connectors.
    Marks(Marks),
    /// A saved state, which says all that marks say and more.
    Whole,
}

/// What was said about single connectors.
#[derive(Default)]
pub(crate) struct Marks {
    connectors: BTreeMap<DrcIndex, Mark>,
    /// The first connectors of devices that are being removed.
    removals: BTreeSet<DrcIndex>,
    is_settled: bool,
}

/// What was said about one connector.
struct Mark {
    /// The first connector of its device.
    device: DrcIndex,
    said: Foreign,
}

impl Incoming {
    /// Takes what is said about one connector; what was said about it before is forgotten.
    pub(crate) fn mark(&mut self, tracker: &Tracker, foreign: Foreign) -> Result<(), ImportError> {
        let device = tracker.device_of(&foreign)?.connectors.first();
        let marks = match self {
            Self::Whole => return Ok(()),
            Self::Marks(marks) => marks,
            Self::Nothing => {
                *self = Self::Marks(Marks::default());
                return self.mark(tracker, foreign);
            }
        };
        if foreign.unplug_requested && !marks.removals.contains(&device) {
            if marks.removals.len() >= tracker.max_open() {
                return Err(ImportError::TooMany(tracker.max_open()));
            }
            marks.removals.insert(device);
        }
        marks.connectors.insert(foreign.index, Mark { device, said: foreign });
        marks.is_settled = false;
        Ok(())
    }

    /// Puts the machine into the state that the marks say. More marks may follow.
    pub(crate) fn settle(&mut self, tracker: &mut Tracker, events: &mut impl Events) {
        if let Self::Marks(marks) = self
            && !marks.is_settled
        {
            let connectors = marks.possible();
            // Each was looked at when it came, and the devices are the same still.
            marks.is_settled = tracker.import(&connectors, events).is_ok();
        }
    }
}

impl Marks {
    /// What is said, without devices of which it cannot be true: one that is being removed and is given back wholly does not
    /// exist any more. No single mark is wrong, and after the last nobody is there to be told.
    fn possible(&self) -> Vec<Foreign> {
        let devices = |is_meant: fn(&Mark) -> bool| {
            let marks = self.connectors.values().filter(move |mark| is_meant(mark));
            marks.map(|mark| mark.device).collect::<BTreeSet<_>>()
        };
        let (asked_for, held) = (devices(|mark| mark.said.unplug_requested), devices(Mark::is_held));
        let is_possible = |mark: &&Mark| held.contains(&mark.device) || !asked_for.contains(&mark.device);
        self.connectors.values().filter(is_possible).map(|mark| mark.said).collect()
    }
}

impl Mark {
    fn is_held(&self) -> bool {
        State::from_number(self.said.state).is_some_and(|state| !state.is_given_back())
    }
}
