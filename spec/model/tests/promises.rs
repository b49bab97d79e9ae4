// SPDX-License-Identifier: MIT OR Apache-2.0

//! The promises of the protocol, explored as far as a test may take; `cargo model` goes all the way.

use papr_unplug_model::{
    action::{Action, Budget},
    explore::{Findings, Until, explore, tell},
    host::Host,
    mutant::{self, Mutant},
    property,
    reference::Reference,
    stock::Stock,
    vmm::{Input, Vmm},
    world::World,
};

const SMALL: Budget = Budget { requests: 3, disturbances: 1, ..Budget::FULL };
const MEDIUM: Budget = Budget { requests: 2, disturbances: 2, ..Budget::FULL };

fn reference(armed: bool, budget: Budget) -> Findings {
    keeps_every_promise(Reference::new(Mutant::None), armed, budget)
}

fn keeps_every_promise(vmm: impl Vmm, armed: bool, budget: Budget) -> Findings {
    let world = World::new(vmm, armed, Mutant::None, budget);
    let findings = explore(world.clone(), usize::MAX, Until::FirstViolation);
    if let Some((violation, path)) = findings.violations.first_key_value() {
        panic!("{violation}\n{}", tell(&world, path).join("\n"));
    }
    findings
}

#[test]
fn three_requests_and_one_disturbance_keep_every_promise_of_an_armed_guest() {
    assert!(reference(true, SMALL).complete);
}

#[test]
fn three_requests_and_one_disturbance_keep_every_promise_of_an_unarmed_guest() {
    assert!(reference(false, SMALL).complete);
}

#[test]
fn two_requests_and_two_disturbances_keep_every_promise() {
    assert!(reference(true, MEDIUM).complete);
    assert!(reference(false, MEDIUM).complete);
}

/// Migration to a VMM that knows level 0 only is left to the vectors: such a VMM forgets that a removal is wanted once it
/// was refused, and no implementation can make it remember.
#[test]
fn host_crate_keeps_every_promise() {
    let budget = Budget { requests: 2, ..SMALL }.without(&[Action::Migrate(Input::MigrateToLevel0)]);
    assert!(keeps_every_promise(Host::new(), true, budget).complete);
    assert!(keeps_every_promise(Host::new(), false, budget).complete);
}

/// The checks can fail: the stock rules have every defect that was measured on stock parts.
#[test]
fn stock_rules_have_every_known_defect() {
    let world = World::new(Stock::new(), false, Mutant::None, SMALL.for_stock());
    let findings = explore(world, usize::MAX, Until::Exhausted);
    for (defect, violation) in property::STOCK_DEFECTS {
        assert!(findings.violations.contains_key(violation), "not found: {defect}");
    }
}

/// The checks can fail: every rule is needed.
#[test]
fn every_mutant_breaks_a_promise() {
    for (mutant, meaning) in mutant::ALL {
        let caught = [true, false].into_iter().any(|armed| {
            let budget = Budget { disturbances: 2, ..Budget::FULL };
            let world = World::new(Reference::new(*mutant), armed, *mutant, budget);
            !explore(world, usize::MAX, Until::FirstViolation).violations.is_empty()
        });
        assert!(caught, "survived: {meaning}");
    }
}
