// SPDX-License-Identifier: MIT OR Apache-2.0

//! Our guest in our VMM: what it promised it keeps, with the reason, about the request that was meant.

use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    device::dimm::{ONE_LMB, TWO_LMBS},
    pairing::Pairing,
    removal::{Outcome, Removal},
    story::{scenario::Scenario, story, story_on},
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// PUE-G-010, PUE-G-020, PUE-G-022, PUE-G-036
#[test]
fn last_cpu_is_reported_with_its_reason_by_the_token_of_its_request() {
    story(Pairing::OURS, |vm| {
        assert_eq!(vm.armed()?, json!(["cpu", "memory"]));
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let expected = json!({ "request": 1, "source": "reported-by-token", "reason": "last-cpu", "errno": 16 });
        assert_eq!(told(&vm.remove(&cpu)?)?, expected);
        Ok(())
    });
}

/// PUE-G-032, PUE-V-041: the kernel hints at the same refusal, which is then no outcome of its own.
#[test]
fn dimm_with_later_lmb_busy_is_reported_once_at_that_lmb() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.events.len(), 1);
        assert_eq!(removal.events[0].body.data("drc"), Some(&json!(dimm.connector(1).0)));
        assert_eq!(removal.events[0].body.data("source"), Some(&json!("reported-by-token")));
        Ok(())
    });
}

/// PUE-G-035, PUE-V-032
#[test]
fn two_requests_for_one_dimm_are_each_refused_by_name() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        for request in [1, 2] {
            let expected = json!({
                "request": request, "source": "reported-by-token", "reason": "memory-veto", "errno": 16,
            });
            assert_eq!(told(&vm.remove(&dimm)?)?, expected);
        }
        Ok(())
    });
}

/// PUE-G-012, PUE-G-020, PUE-G-030: a request comes to the kernel while a probe's handler runs, which hides it from the probe.
#[test]
fn requests_that_come_in_bursts_are_each_answered_by_name_and_the_promise_is_kept() {
    story(Pairing::OURS, |vm| bursts(vm, 100));
}

/// PUE-G-012, PUE-G-020, PUE-G-030: there, an event's interrupt has been handled before the kernel takes the request.
#[test]
fn requests_are_each_answered_by_name_where_interrupts_have_threads() {
    let start = Start::with_kernel_arguments("threadirqs");
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| bursts(vm, 30));
}

/// Asks for the last CPU and two DIMMs in one go, so often, and sees that each refusal is told by its token, with its reason:
/// what hides from a probe is no part of the attempt that it interrupts.
fn bursts(vm: &mut Vm, bursts: u32) -> Result<()> {
    let cpu = Scenario::CpuLastOnline.arrange(vm)?;
    let dimms = [vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?];
    vm.veto_offlining()?;
    let mut answers = BTreeMap::<_, u32>::new();
    for _ in 0..bursts {
        let asked = [vm.ask_unwatched(&cpu)?, vm.ask_unwatched(&dimms[0])?, vm.ask_unwatched(&dimms[1])?];
        for asked in &asked {
            vm.await_told(asked)?;
            for event in vm.told(asked)? {
                let [source, reason] =
                    ["source", "reason"].map(|name| event.body.data(name).cloned().unwrap_or_default());
                *answers.entry(format!("{source}: {reason}")).or_default() += 1;
            }
        }
    }
    let counters = vm.counters()?;
    println!("the module's counters: {counters:?}");
    let by_token = |reason: &str, times| (format!("\"reported-by-token\": \"{reason}\""), bursts * times);
    assert_eq!(answers, BTreeMap::from([by_token("last-cpu", 1), by_token("memory-veto", 2)]));
    assert_eq!(counters.get("withdrawn"), 0);
    Ok(())
}

/// PUE-G-060, PUE-V-016: a promise does not outlive the module, nor what the next one makes of it.
#[test]
fn module_unloaded_takes_its_promise_back_and_a_reloaded_one_promises_anew() {
    story(Pairing::OURS, |vm| {
        vm.unload_module()?;
        assert_eq!(vm.armed()?, json!([]));
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Silent);

        vm.load_module()?;
        assert_eq!(vm.armed()?, json!(["cpu", "memory"]));
        let removal = vm.remove(&dimm)?;
        // The answer to the second request ends the first one too, which nobody had answered (PUE-V-037).
        let ended: Vec<_> = removal.events.iter().map(|event| event.body.data("request").cloned()).collect();
        assert_eq!(ended, [Some(json!(1)), Some(json!(2))]);
        Ok(())
    });
}

/// PUE-V-010
#[test]
fn reports_are_taken_from_each_processor() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        for only in [0, 1] {
            let other = 1 - only;
            vm.guest.sh(&format!("echo 0 > /sys/devices/system/cpu/cpu{other}/online"))?;
            let removal = vm.remove(&dimm)?;
            assert_eq!(told(&removal)?["source"], json!("reported-by-token"));
            assert_eq!(removal.calls.iter().map(|call| call.cpu).collect::<Vec<_>>(), [only; 2]);
            vm.guest.sh(&format!("echo 1 > /sys/devices/system/cpu/cpu{other}/online"))?;
        }
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// Request, source, reason and errno of the one event that there was.
fn told(removal: &Removal) -> Result<Value> {
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
    let event = removal.events.first().context("no event")?;
    let member = |name| event.body.data(name).cloned().unwrap_or_default();
    Ok(json!({
        "request": member("request"), "source": member("source"), "reason": member("reason"), "errno": member("errno"),
    }))
}
