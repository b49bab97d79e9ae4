// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate in the conversations of `spec/vectors`, and in every order of events that the model knows.

#[path = "oracle/mod.rs"]
pub mod oracle;

use oracle::host::Host;
use papr_unplug_model::{
    action::{Action, Budget},
    conversation::Conversation,
    explore::{Until, explore, tell},
    mutant::Mutant,
    vmm::Input,
    world::World,
};
use std::{fs, path::Path};

#[test]
fn crate_answers_as_the_conversations_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/conversations");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.map(|file| fs::read_to_string(file).unwrap());
    let conversations = texts.map(|text| serde_json::from_str::<Conversation>(&text).unwrap());
    let differences = conversations.filter_map(|conversation| conversation.run(Host::new()).err());
    assert_eq!(differences.collect::<Vec<_>>(), [""; 0]);
}

/// PUE-V-102: nothing that a VMM is given is a time, and no request ends but by something that it is given.
///
/// Migration to a VMM that knows level 0 only is left to the vectors: such a VMM forgets that a removal is wanted once
/// it was refused, and no implementation can make it remember.
#[test]
fn crate_keeps_every_promise_in_every_order_of_events() {
    let budget = Budget { requests: 2, disturbances: 1, ..Budget::FULL };
    let budget = budget.without(&[Action::Migrate(Input::MigrateToLevel0)]);
    for armed in [true, false] {
        let world = World::new(Host::new(), armed, Mutant::None, budget);
        let findings = explore(world.clone(), usize::MAX, Until::FirstViolation);
        if let Some((violation, path)) = findings.violations.first_key_value() {
            panic!("{violation}\n{}", tell(&world, path).join("\n"));
        }
        assert!(findings.complete);
    }
}
