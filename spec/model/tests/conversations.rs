// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the conversations of `spec/vectors` against the VMMs of the model.

use papr_unplug_model::{conversation::Conversation, mutant::Mutant, reference::Reference, stock::Stock};
use std::{collections::BTreeSet, fs, path::Path};

fn conversations() -> Vec<Conversation> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/conversations");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect()
}

#[test]
fn reference_vmm_answers_as_the_conversations_say() {
    let differences = conversations().into_iter().filter_map(|one| one.run(Reference::of_vectors(Mutant::None)).err());
    assert_eq!(differences.collect::<Vec<_>>(), [""; 0]);
}

/// The vectors can fail: stock rules name no request, so they pass only where no request ends.
#[test]
fn stock_vmm_does_not() {
    assert!(conversations().iter().filter(|one| one.run(Stock::new()).is_err()).count() >= 24);
}

/// The vectors can fail: they catch broken rules of the VMM by themselves.
#[test]
fn broken_rules_are_seen_by_some_conversation() {
    let broken = [
        Mutant::RepeatOutcome,
        Mutant::IgnoreToken,
        Mutant::ReuseToken,
        Mutant::MatchTokenless,
        Mutant::ForgetLateRelease,
        Mutant::ReleaseAtFirstLmb,
        Mutant::DetachReleasedLmb,
        Mutant::HealOnRefusal,
        Mutant::ReleaseClosesOne,
        Mutant::RejectRepeat,
        Mutant::HintIsOutcome,
        Mutant::KeepHintOnDisarm,
        Mutant::IgnoreDone,
        Mutant::KeepOlder,
        Mutant::ForgetOnMigration,
        Mutant::KeepRequestsOverReset,
        Mutant::StayArmedOverReset,
        Mutant::SwallowHint,
        Mutant::ChargeStaleToken,
        Mutant::KeepPromiseWithoutToken,
        Mutant::RejectIsolateOfKept,
        Mutant::KeepWithdrawnDevice,
        Mutant::HalfTogether,
        Mutant::AnnounceWithoutToken,
        Mutant::IgnorePhysicalHint,
    ];
    let conversations = conversations();
    let survivors =
        broken.iter().filter(|mutant| conversations.iter().all(|one| one.run(Reference::of_vectors(**mutant)).is_ok()));
    assert_eq!(survivors.collect::<Vec<_>>(), [] as [&Mutant; 0]);
}

#[test]
fn every_clause_of_a_conversation_is_shown_by_a_step() {
    let all = conversations();
    assert!(all.len() >= 25);
    for conversation in &all {
        let shown: BTreeSet<&String> = conversation.steps.iter().flat_map(|step| &step.clauses).collect();
        assert_eq!(shown, conversation.clauses.iter().collect(), "{}", conversation.name);
    }
}
