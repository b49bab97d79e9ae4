// SPDX-License-Identifier: MIT OR Apache-2.0

//! Faults in the guest's kernel during removals: each request is answered exactly once.

use anyhow::Result;
use papr_unplug_tests::{
    pairing::Pairing,
    removal::Outcome,
    soak::{
        faults::{FAULTS, Rounds, lose_request, lose_requests_in_bursts},
        ledger::Class,
    },
    story::{story, story_on},
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::json;

/// Number of rounds for each of the [`FAULTS`].
const TURNS: u32 = 17;

/// PUE-G-030, PUE-G-031
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn every_request_is_answered_once_whatever_fails() {
    story_on(Pairing::OURS, Machine::PseriesForLong, &Start::default(), |vm| {
        let mut rounds = Rounds::begin(vm)?;
        (0..TURNS).flat_map(|_| FAULTS).try_for_each(|fault| rounds.play(vm, fault))?;
        let counters = vm.counters()?;
        println!("{}the module's counters: {counters:?}", rounds.outcomes);
        assert_eq!(
            [Class::Cpu, Class::Memory].map(|class| rounds.outcomes.of(class)),
            [Class::Cpu, Class::Memory].map(|class| rounds.sent[&class])
        );
        assert_eq!(vm.pending()?, json!([]));
        // A probe that misses a request misses its token as well; the module withdraws its promise then.
        assert!(u64::from(rounds.outcomes.without_token()) <= counters.get("withdrawn"));
        assert_eq!(counters.get("requests"), u64::from(rounds.sent.values().sum::<u32>()));
        assert_eq!(counters.get("released") + counters.get("refused"), counters.get("requests"));
        Ok(())
    });
}

/// PUE-G-012, PUE-G-031: also if the handler of a probe runs while the kernel loses a request, which hides that from
/// the probe.
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn requests_that_are_lost_in_bursts_are_each_answered_by_name() {
    story_on(Pairing::OURS, Machine::PseriesForLong, &Start::default(), |vm| lost_in_bursts(vm, 100));
}

/// PUE-G-012, PUE-G-031
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn requests_that_are_lost_in_bursts_are_each_answered_by_name_where_interrupts_have_threads() {
    let start = Start::with_kernel_arguments("threadirqs");
    story_on(Pairing::OURS, Machine::PseriesForLong, &start, |vm| lost_in_bursts(vm, 30));
}

/// PUE-G-031, PUE-G-035: answers are in order for each device only.
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn lost_request_is_answered_while_the_removal_of_another_device_hangs() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        let (_dimm, pages, removal) = vm.removal_under_way()?;
        let lost = lose_request(vm, &cpu)?;
        let [event] = lost.as_slice() else { panic!("{lost:?}") };
        assert_eq!(event.body.data("reason"), Some(&json!("dropped")));
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(removal)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// Loses requests in bursts, and checks that each refusal is reported by its token.
fn lost_in_bursts(vm: &mut Vm, bursts: u64) -> Result<()> {
    let outcomes = lose_requests_in_bursts(vm, bursts)?;
    let counters = vm.counters()?;
    println!("{outcomes}the module's counters: {counters:?}");
    assert_eq!(outcomes.without_token(), 0);
    assert_eq!(counters.get("requests"), u64::from(outcomes.of(Class::Memory)));
    Ok(())
}
