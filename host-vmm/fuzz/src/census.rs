// SPDX-License-Identifier: MIT OR Apache-2.0

//! What of the state machine a corpus reaches.

use crate::oracle::{
    action::Input,
    lopar,
    machine::{CPU, MEMORY, PCI, is_physical},
    reference::{Occupant, Reference, Told},
};
use std::{collections::BTreeSet, fmt};

/// A transition: resource (CPU and PCI stand for all of their kind), state, occupant, input.
type Transition = (u8, u8, Occupant, Input);

/// What was seen.
#[derive(Debug, Default)]
pub struct Census {
    transitions: BTreeSet<Transition>,
    statuses: BTreeSet<i32>,
    clauses: BTreeSet<&'static str>,
    told: BTreeSet<&'static str>,
}

/// Every status that `set-indicator` and `ibm,configure-connector` can have here.
const STATUSES: [i32; 9] = [0, 9000, -1, -3, -9003, -9005, -9006, -9007, -9008];
/// Everything that can be told.
const TOLD: [&str; 7] =
    ["asked with a token", "asked without", "released", "refused", "refused (inferred)", "reset", "deleted"];

impl Census {
    /// Takes note of what the last action was.
    pub fn see(&mut self, reference: &Reference) {
        let expected = &reference.expected;
        if let Some((resource, state, occupant, input)) = expected.transition {
            self.transitions.insert((kind(resource), state, occupant, input));
        }
        self.statuses.extend(expected.status);
        self.clauses.extend(&reference.clauses);
        self.told.extend(expected.told.iter().map(name));
    }
}

/// Every transition that there is: an empty connector has one state, and a device whose removal is wanted is not given
/// back wholly, which only one of several connectors can be.
fn every() -> BTreeSet<Transition> {
    let mut every = BTreeSet::new();
    for resource in [CPU, MEMORY, PCI] {
        let is_physical = is_physical(resource);
        let states: &[u8] = if is_physical { &lopar::PHYSICAL } else { &lopar::LOGICAL };
        let empty = lopar::ends(is_physical).0;
        for (state, input) in states.iter().flat_map(|state| Input::ALL.map(|input| (*state, input))) {
            every.insert((resource, state, Occupant::Kept, input));
            if state == empty {
                every.insert((resource, state, Occupant::Nobody, input));
            }
            if state != empty || resource != CPU {
                every.insert((resource, state, Occupant::Wanted, input));
                every.insert((resource, state, Occupant::Asked, input));
            }
        }
    }
    every
}

fn kind(resource: u8) -> u8 {
    match resource {
        MEMORY => MEMORY,
        _ if is_physical(resource) => PCI,
        _ => CPU,
    }
}

fn name(told: &Told) -> &'static str {
    use crate::oracle::reference::How;
    match told {
        Told::Ask { token: true, .. } => TOLD[0],
        Told::Ask { token: false, .. } => TOLD[1],
        Told::Released { .. } => TOLD[2],
        Told::Refused { how: How::Inferred, .. } => TOLD[4],
        Told::Refused { .. } => TOLD[3],
        Told::Reset { .. } => TOLD[5],
        Told::Deleted { .. } => TOLD[6],
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = every();
        let reached = every.intersection(&self.transitions).count();
        writeln!(f, "transitions (resource, state, occupant, input): {reached} of {}", every.len())?;
        for missing in every.difference(&self.transitions) {
            writeln!(f, "  never: {missing:?}")?;
        }
        for beyond in self.transitions.difference(&every) {
            writeln!(f, "  not expected: {beyond:?}")?;
        }
        let missing: Vec<_> = STATUSES.iter().filter(|status| !self.statuses.contains(status)).collect();
        writeln!(f, "statuses: {} of {}, never {missing:?}", self.statuses.len(), STATUSES.len())?;
        let missing: Vec<_> = TOLD.iter().filter(|told| !self.told.contains(*told)).collect();
        writeln!(f, "events: {} of {}, never {missing:?}", self.told.len(), TOLD.len())?;
        let clauses: Vec<_> = self.clauses.iter().copied().collect();
        writeln!(f, "clauses that decided: {}: {}", clauses.len(), clauses.join(" "))
    }
}
