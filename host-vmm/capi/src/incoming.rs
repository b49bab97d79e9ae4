// SPDX-License-Identifier: MIT OR Apache-2.0

//! State that is being loaded, collected until the load ends.

use papr_unplug::{
    Tracker,
    drc::State,
    event::Events,
    foreign::{Foreign, ImportError},
    snapshot::RestoreError,
    wire::drc::DrcIndex,
};
use std::collections::{BTreeMap, BTreeSet};

/// State that is being loaded.
#[derive(Default)]
pub(crate) enum Incoming {
    /// No load is going on.
    #[default]
    Nothing,
    /// Foreign states of single connectors.
    Marks(Marks),
    /// A saved state, which holds more than marks do.
    Saved(Vec<u8>),
}

/// Foreign states of single connectors.
#[derive(Default)]
pub(crate) struct Marks {
    connectors: BTreeMap<DrcIndex, Mark>,
    /// First connectors of devices that are being removed.
    removals: BTreeSet<DrcIndex>,
}

/// Foreign state of one connector.
struct Mark {
    /// First connector of its device.
    device: DrcIndex,
    foreign: Foreign,
}

/// Error of a load when it ends.
pub(crate) enum LoadError {
    Import(ImportError),
    Restore(RestoreError),
}

impl Incoming {
    /// Begins a load, and drops what an unfinished one collected.
    pub(crate) fn begin(&mut self) {
        *self = Self::Marks(Marks::default());
    }

    /// Collects the foreign state of one connector; a later one replaces it. After a saved state it is ignored.
    pub(crate) fn mark(&mut self, tracker: &Tracker, foreign: Foreign) -> Result<(), ImportError> {
        let device = tracker.device_of(&foreign)?.connectors.first();
        let marks = match self {
            Self::Saved(_) => return Ok(()),
            Self::Marks(marks) => marks,
            Self::Nothing => {
                self.begin();
                return self.mark(tracker, foreign);
            }
        };
        if foreign.unplug_requested && !marks.removals.contains(&device) {
            if marks.removals.len() >= tracker.max_open() {
                return Err(ImportError::TooMany(tracker.max_open()));
            }
            marks.removals.insert(device);
        }
        marks.connectors.insert(foreign.index, Mark { device, foreign });
        Ok(())
    }

    /// Collects a saved state, if the machine takes it.
    pub(crate) fn save(&mut self, tracker: &Tracker, bytes: &[u8]) -> Result<(), RestoreError> {
        tracker.check_saved(bytes)?;
        *self = Self::Saved(bytes.to_vec());
        Ok(())
    }

    /// Ends the load: replaces the state of the machine by what was collected. Does nothing if no load is going on.
    pub(crate) fn end(&mut self, tracker: &mut Tracker, events: &mut impl Events) -> Result<(), LoadError> {
        match std::mem::take(self) {
            Self::Nothing => Ok(()),
            Self::Marks(marks) => tracker.import(&marks.possible(), events).map_err(LoadError::Import),
            Self::Saved(bytes) => tracker.restore(&bytes, events).map_err(LoadError::Restore),
        }
    }
}

impl Marks {
    /// Returns the foreign states, without those of a device that is being removed and is given back wholly: that
    /// device does not exist any more where the states come from. No single mark shows it, and after the last one no
    /// error can be returned.
    fn possible(&self) -> Vec<Foreign> {
        let devices = |is_meant: fn(&Mark) -> bool| {
            let marks = self.connectors.values().filter(move |mark| is_meant(mark));
            marks.map(|mark| mark.device).collect::<BTreeSet<_>>()
        };
        let (asked_for, held) = (devices(|mark| mark.foreign.unplug_requested), devices(Mark::is_held));
        let is_possible = |mark: &&Mark| held.contains(&mark.device) || !asked_for.contains(&mark.device);
        self.connectors.values().filter(is_possible).map(|mark| mark.foreign).collect()
    }
}

impl Mark {
    fn is_held(&self) -> bool {
        State::from_number(self.foreign.state).is_some_and(|state| !state.is_given_back())
    }
}
