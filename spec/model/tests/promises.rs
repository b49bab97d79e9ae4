// SPDX-License-Identifier: MIT OR Apache-2.0

//! The promises of the protocol, explored as far as a test may take; `cargo model` goes all the way.

use papr_unplug_model::{
    action::{Action, Budget},
    explore::{Findings, Until, explore, tell},
    guest::Plan,
    machine::CPU,
    mutant::{self, Mutant},
    property,
    reference::Reference,
    stock::Stock,
    violation::Property,
    vmm::{Input, Vmm},
    world::World,
};

const SMALL: Budget = Budget { requests: 3, disturbances: 1, ..Budget::FULL };
const MEDIUM: Budget = Budget { requests: 2, disturbances: 2, ..Budget::FULL };

fn reference(armed: bool, budget: Budget) -> Findings {
    keeps_every_promise(Reference::explored(Mutant::None), armed, budget)
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

/// PUE-G-070, PUE-G-071: an agent that dies, reads past, begins twice, and whose child dies, in every order.
#[test]
fn requests_that_user_space_has_keep_every_promise() {
    for (armed, budget) in [(true, SMALL), (false, SMALL), (true, MEDIUM), (false, MEDIUM)] {
        let vmm = Reference::explored_in_user_space(Mutant::None);
        let world = World::of_user_space(vmm, armed, Mutant::None, budget);
        let findings = explore(world.clone(), usize::MAX, Until::FirstViolation);
        if let Some((violation, path)) = findings.violations.first_key_value() {
            panic!("{violation}\n{}", tell(&world, path).join("\n"));
        }
        assert!(findings.complete);
    }
}

#[test]
fn every_mutant_of_user_space_breaks_a_promise() {
    for (mutant, meaning) in mutant::OF_USER_SPACE {
        let caught = [true, false].into_iter().any(|armed| {
            let vmm = Reference::explored_in_user_space(*mutant);
            let world = World::of_user_space(vmm, armed, *mutant, Budget { disturbances: 2, ..Budget::FULL });
            !explore(world, 12, Until::FirstViolation).violations.is_empty()
        });
        assert!(caught, "survived: {meaning}");
    }
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
        // Both worlds a little deeper each time: in one of them the mutant may never show.
        let depths = [4, 6, 8, 10].into_iter().flat_map(|depth| [(depth, true), (depth, false)]);
        let caught = depths.into_iter().any(|(depth, armed)| {
            let budget = Budget { disturbances: 2, ..Budget::FULL };
            let world = World::new(Reference::explored(*mutant), armed, *mutant, budget);
            !explore(world, depth, Until::FirstViolation).violations.is_empty()
        });
        assert!(caught, "survived: {meaning}");
    }
}

/// PUE-G-041: the guest migrates to a VMM without reports and on to one that counts its tokens anew.
#[test]
fn tokens_of_another_vmm_are_forgotten() {
    let refuse = [Action::Start(Plan::Refuse), Action::Call, Action::Finish];
    let asked = [Action::Ask(CPU), Action::Ask(CPU), Action::Fetch, Action::Fetch];
    let moved = [Action::Migrate(Input::MigrateToLevel0), Action::Migrate(Input::MigrateToLevel1)];
    let path = [&asked[..], &moved, &refuse, &asked[..2], &refuse].concat();
    let result = |mutant| {
        let budget = Budget { requests: 4, ..Budget::FULL };
        let mut world = World::new(Reference::explored(mutant), true, mutant, budget);
        path.iter().try_for_each(|action| world.apply(*action, &mut Vec::new()))
    };
    assert_eq!(result(Mutant::None), Ok(()));
    assert_eq!(result(Mutant::KeepTokens).map_err(|violation| violation.property), Err(Property::Attribution));
}
