// SPDX-License-Identifier: MIT OR Apache-2.0

//! Census of what a corpus reaches of the state machine.

use crate::oracle::expected::Oracle;
use papr_unplug::wire::{hotplug::Resource, rtas::Status};
use papr_unplug_model::{
    lopar::{self, Input, is_physical},
    reference::{Clauses, Occupant},
    vmm::{Event, Outcome, Source},
};
use std::{collections::BTreeSet, fmt};

/// A transition: resource (CPU and PCI stand for all of their kind), state, occupant, input.
type Transition = (Resource, u8, Occupant, Input);

/// Transitions, statuses, clauses and events that were seen.
#[derive(Debug, Default)]
pub struct Census {
    transitions: BTreeSet<Transition>,
    statuses: BTreeSet<i32>,
    clauses: Clauses,
    told: BTreeSet<&'static str>,
}

/// Statuses that `set-indicator` and `ibm,configure-connector` can have here.
const STATUSES: [i32; 8] = [0, 9000, -3, -9003, -9005, -9006, -9007, -9008];
/// Events that can be told.
const TOLD: [&str; 11] = [
    "asked with a token",
    "asked without",
    "released",
    "refused",
    "refused (inferred)",
    "reset",
    "deleted",
    "removed",
    "withdrawn",
    "closed by load",
    "CAS",
];

impl Census {
    /// Adds the last action.
    pub fn see(&mut self, oracle: &Oracle) {
        let expected = &oracle.expected;
        if let Some((resource, state, occupant, input)) = expected.transition {
            self.transitions.insert((kind(resource), state, occupant, input));
        }
        self.statuses.extend(expected.status.map(|Status(status)| status));
        self.clauses.extend(oracle.clauses);
        self.told.extend(expected.events.iter().map(name));
    }
}

/// Returns every possible transition. An empty connector has one state. A device whose removal is wanted is not given
/// back wholly, so only a connector of a device of several can be given back.
fn every() -> BTreeSet<Transition> {
    let mut every = BTreeSet::new();
    for resource in [Resource::CPU, Resource::MEMORY, Resource::PCI] {
        let is_physical = is_physical(resource);
        let states: &[u8] = if is_physical { &lopar::PHYSICAL } else { &lopar::LOGICAL };
        let empty = lopar::empty(resource);
        for (state, input) in states.iter().flat_map(|state| Input::ALL.map(|input| (*state, input))) {
            every.insert((resource, state, Occupant::Kept, input));
            if state == empty {
                every.insert((resource, state, Occupant::Nobody, input));
            }
            if state != empty || resource != Resource::CPU {
                every.insert((resource, state, Occupant::Wanted, input));
                every.insert((resource, state, Occupant::Asked, input));
            }
        }
    }
    every
}

fn kind(resource: Resource) -> Resource {
    match resource {
        Resource::MEMORY => Resource::MEMORY,
        _ if is_physical(resource) => Resource::PCI,
        _ => Resource::CPU,
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Hotplug(_, _, token) => TOLD[if token.is_some() { 0 } else { 1 }],
        Event::Outcome(_, _, Outcome::Refused { source: Source::Inferred, .. }) => TOLD[4],
        Event::Outcome(_, _, Outcome::Refused { .. }) => TOLD[3],
        Event::Outcome(_, _, Outcome::Reset) => TOLD[5],
        Event::Outcome(_, _, Outcome::Released) => TOLD[2],
        Event::Deleted(..) => TOLD[6],
        Event::Outcome(_, _, Outcome::Removed) => TOLD[7],
        Event::Outcome(_, _, Outcome::Withdrawn) => TOLD[8],
        Event::Outcome(_, _, Outcome::Load) => TOLD[9],
        Event::Outcome(_, _, Outcome::Cas) => TOLD[10],
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
        let clauses: Vec<_> = self.clauses.numbers().map(|number| format!("PUE-V-{number:03}")).collect();
        writeln!(f, "clauses that decided: {}: {}", clauses.len(), clauses.join(" "))
    }
}
