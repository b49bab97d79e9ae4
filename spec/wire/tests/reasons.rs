// SPDX-License-Identifier: MIT OR Apache-2.0

//! `spec/reasons.toml` and the wire's constants are one list.

use papr_unplug_wire::wire::reason::Reason;
use serde::Deserialize;
use std::collections::HashSet;

#[derive(Deserialize)]
struct Reasons {
    reason: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    code: u8,
    name: String,
    meaning: String,
    classes: Vec<String>,
    errno: Vec<String>,
    seen: Vec<String>,
    advice: String,
}

fn reasons() -> Vec<Entry> {
    toml::from_str::<Reasons>(include_str!("../../reasons.toml")).unwrap().reason
}

#[test]
fn codes_and_names_are_those_of_the_constants() {
    let listed = reasons().into_iter().map(|entry| (entry.code, entry.name));
    let constants = Reason::ALL.iter().map(|reason| (reason.0, reason.to_string()));
    assert!(listed.eq(constants));
}

#[test]
fn every_reason_can_be_explained() {
    let classes = HashSet::from(["cpu", "memory", "slot", "phb", "pci", "pmem"]);
    for entry in reasons() {
        assert!(entry.meaning.ends_with('.') && entry.advice.ends_with('.'), "{}", entry.name);
        assert!(!entry.seen.is_empty() && !entry.classes.is_empty(), "{}", entry.name);
        assert!(entry.classes.iter().all(|class| classes.contains(class.as_str())), "{}", entry.name);
        assert!(entry.errno.iter().all(|errno| errno.starts_with('E')), "{}", entry.name);
    }
}
