// SPDX-License-Identifier: MIT OR Apache-2.0

//! Exploration of a world: every action in every order, breadth first.

use crate::{action::Action, violation::Violation, vmm::Vmm, world::World};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

/// The result of an exploration.
#[derive(Debug, Default)]
pub struct Findings {
    /// The number of different worlds.
    pub states: usize,
    /// The number of steps that led to them.
    pub steps: usize,
    /// The length of the longest shortest path to a world.
    pub depth: usize,
    /// True if every world was seen, not only those within the depth.
    pub complete: bool,
    /// A shortest path to each violation.
    pub violations: BTreeMap<Violation, Vec<Action>>,
}

/// The condition to stop early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// No condition: every world is seen.
    Exhausted,
    /// The first violation.
    FirstViolation,
}

/// A step to a new world.
struct Edge {
    from: u32,
    by: Action,
}

/// Explores from `start`, no further than `depth` steps.
///
/// A world is remembered by 64 bits of its hash; at the sizes of this model a collision, which would hide a world, is
/// less likely than one in ten thousand.
pub fn explore<V: Vmm>(start: World<V>, depth: usize, until: Until) -> Findings {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut seen = HashSet::<u64, BuildHasherDefault<Identity>>::default();
    let mut steps: Vec<Edge> = Vec::new();
    let mut findings = Findings { states: 1, ..Findings::default() };
    seen.insert(hasher.hash_one(&start));
    let mut frontier = vec![(u32::MAX, start)];
    while !frontier.is_empty() && findings.depth < depth {
        let mut next = Vec::new();
        for (from, world) in &frontier {
            for by in world.actions() {
                findings.steps += 1;
                let mut after = world.clone();
                let result = after.apply(by, &mut Vec::new()).and_then(|()| after.check_idle());
                let known = result.is_ok() && !seen.insert(hasher.hash_one(&after));
                if known {
                    continue;
                }
                if let Err(violation) = result {
                    findings.violations.entry(violation).or_insert_with(|| path(&steps, *from, by));
                    if until == Until::FirstViolation {
                        return findings;
                    }
                    continue;
                }
                findings.states += 1;
                steps.push(Edge { from: *from, by });
                next.push((steps.len() as u32 - 1, after));
            }
        }
        frontier = next;
        findings.depth += 1;
    }
    findings.complete = frontier.is_empty();
    findings
}

fn path(steps: &[Edge], mut from: u32, last: Action) -> Vec<Action> {
    let mut path = vec![last];
    while let Some(step) = steps.get(from as usize) {
        path.push(step.by);
        from = step.from;
    }
    path.reverse();
    path
}

/// Returns a path in words, one line for each event.
pub fn tell<V: Vmm>(start: &World<V>, path: &[Action]) -> Vec<String> {
    let mut world = start.clone();
    let mut lines = Vec::new();
    for (number, action) in path.iter().enumerate() {
        let mut said = Vec::new();
        let result = world.apply(*action, &mut said).and_then(|()| world.check_idle());
        lines.push(format!("{:>4}. {action}", number + 1));
        lines.extend(said.iter().map(|line| format!("        {line}")));
        if let Err(violation) = result {
            lines.push(format!("   => {violation}"));
        }
    }
    lines
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, depth, complete, violations } = self;
        let how = if *complete { "exhausted" } else { "not exhausted" };
        write!(f, "{states} states, {steps} steps, depth {depth} ({how}), {} violations", violations.len())
    }
}

/// A hasher for hashes.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
