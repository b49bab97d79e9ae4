// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module in the patched VMM: each request gets the promised answer, with its reason, under its own
//! token.

use anyhow::Result;
use papr_unplug_tests::{
    device::dimm::{ONE_LMB, TWO_LMBS},
    pairing::Pairing,
    removal::Outcome,
    story::{scenario::Scenario, story, story_on},
    vm::Vm,
    vmm::{machine::Machine, promise::CLASSES, qemu::Start},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Source of an answer that was promised.
const BY_TOKEN: &str = "reported-by-token";
/// Members of the event of a refusal.
const MEMBERS: [&str; 4] = ["request", "source", "reason", "errno"];

/// PUE-G-010, PUE-G-020, PUE-G-022, PUE-G-036
#[test]
fn last_cpu_is_reported_with_its_reason_by_the_token_of_its_request() {
    story(Pairing::OURS, |vm| {
        assert_eq!(vm.armed()?, json!(CLASSES));
        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        let expected = [json!(1), json!(BY_TOKEN), json!("last-cpu"), json!(16)];
        assert_eq!(vm.remove(&cpu)?.refusal(MEMBERS)?, expected);
        Ok(())
    });
}

/// PUE-G-032, PUE-V-041: the kernel sends a hint about the same refusal, which is no outcome of its own.
#[test]
fn dimm_with_later_lmb_busy_is_reported_once_at_that_lmb() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        let expected = [json!(BY_TOKEN), json!(dimm.connector(1).0)];
        assert_eq!(vm.remove(&dimm)?.refusal(["source", "drc"])?, expected);
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
            let expected = [json!(request), json!(BY_TOKEN), json!("memory-veto"), json!(16)];
            assert_eq!(vm.remove(&dimm)?.refusal(MEMBERS)?, expected);
        }
        Ok(())
    });
}

/// PUE-G-012, PUE-G-020, PUE-G-030: requests that reach the kernel while the handler of a probe runs, which hides them
/// from that probe.
#[test]
fn requests_that_come_in_bursts_are_each_answered_by_name_and_the_promise_is_kept() {
    story(Pairing::OURS, |vm| bursts(vm, 100));
}

/// PUE-G-012, PUE-G-020, PUE-G-030: with threaded interrupts, the interrupt of an event ends before the kernel takes
/// the request.
#[test]
fn requests_are_each_answered_by_name_where_interrupts_have_threads() {
    let start = Start::with_kernel_arguments("threadirqs");
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| bursts(vm, 30));
}

/// Requests the last CPU and two DIMMs at once, `bursts` times, and checks that each refusal is reported by its token
/// and with its own reason: requests that come during an attempt must not change what is seen of it.
fn bursts(vm: &mut Vm, bursts: u32) -> Result<()> {
    let cpu = Scenario::CpuLastOnline.arrange(vm)?;
    let dimms = [vm.plug_dimm(ONE_LMB)?, vm.plug_dimm(ONE_LMB)?];
    vm.veto_offlining()?;
    let mut answers = BTreeMap::<_, u32>::new();
    for _ in 0..bursts {
        let request = [vm.request_untraced(&cpu)?, vm.request_untraced(&dimms[0])?, vm.request_untraced(&dimms[1])?];
        for request in &request {
            vm.await_outcome(request)?;
            for event in vm.events_about(request)? {
                let [source, reason] =
                    ["source", "reason"].map(|name| event.body.data(name).cloned().unwrap_or_default());
                *answers.entry(format!("{source}: {reason}")).or_default() += 1;
            }
        }
    }
    let counters = vm.counters()?;
    println!("the module's counters: {counters:?}");
    let by_token = |reason: &str, times| (format!("\"{BY_TOKEN}\": \"{reason}\""), bursts * times);
    assert_eq!(answers, BTreeMap::from([by_token("last-cpu", 1), by_token("memory-veto", 2)]));
    assert_eq!(counters.get("withdrawn"), 0);
    Ok(())
}

/// PUE-G-060, PUE-V-016: a promise ends when the module is unloaded, and a module that is loaded later promises anew.
#[test]
fn module_unloaded_takes_its_promise_back_and_a_reloaded_one_promises_anew() {
    story(Pairing::OURS, |vm| {
        vm.unload_module()?;
        assert_eq!(vm.armed()?, json!([]));
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Silent);

        vm.load_module()?;
        assert_eq!(vm.armed()?, json!(CLASSES));
        let removal = vm.remove(&dimm)?;
        // The answer to the second request also ends the first one, which is not promised (PUE-V-037).
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
            assert_eq!(removal.refusal(["source"])?, [json!(BY_TOKEN)]);
            assert_eq!(removal.calls.iter().map(|call| call.cpu).collect::<BTreeSet<_>>(), BTreeSet::from([only]));
            vm.guest.sh(&format!("echo 1 > /sys/devices/system/cpu/cpu{other}/online"))?;
        }
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-011, PUE-G-012: the kernel's switch for all kprobes; it counts no call as missed. Where the module's probes cannot
/// be switched off, the promise stands and is kept.
#[test]
fn promise_is_withdrawn_while_probes_are_off_and_made_again_when_they_are_on() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        if !vm.switch_probes_off()? {
            let seen = vm.request_untraced(&dimm)?;
            vm.await_outcome(&seen)?;
            let events = vm.events_about(&seen)?;
            let sources: Vec<_> = events.iter().map(|event| event.body.data("source")).collect();
            assert_eq!(sources, [Some(&json!(BY_TOKEN))]);
            return vm.await_armed(&CLASSES);
        }
        let unseen = vm.request_untraced(&dimm)?;
        vm.await_armed(&[])?;
        // A kernel that hints by itself has ended the request.
        assert!(
            vm.pending()?.as_array().is_some_and(|all| all.iter().all(|request| request["promised"] == json!(false)))
        );
        assert!(vm.probes()?.iter().all(|probe| !probe.state.starts_with("active")));

        vm.switch_probes_on()?;
        vm.await_armed(&CLASSES)?;
        assert_ne!(vm.has_waited_for_all_probes()?, Some(false));
        let seen = vm.request_untraced(&dimm)?;
        vm.await_outcome(&seen)?;
        // The answer also ends the first request, which is not promised any more (PUE-V-037), if the kernel has not.
        let events = vm.events_about(&unseen)?;
        let are_by_token: Vec<_> =
            events.iter().map(|event| event.body.data("source") == Some(&json!(BY_TOKEN))).collect();
        assert_eq!(are_by_token, [false, true]);
        assert_eq!(vm.counters()?.get("withdrawn"), 1);
        Ok(())
    });
}

/// PUE-G-010: where probes are off when the module is loaded, nothing is promised until they are on.
#[test]
fn module_that_is_loaded_while_probes_are_off_promises_nothing_until_they_are_on() {
    story(Pairing::OURS, |vm| {
        vm.unload_module()?;
        let are_off = vm.switch_probes_off()?;
        vm.load_module()?;
        assert_eq!(vm.armed()?, if are_off { json!([]) } else { json!(CLASSES) });
        vm.switch_probes_on()?;
        vm.await_armed(&CLASSES)
    });
}

/// PUE-G-011, PUE-G-017: without an event source, no request reaches the kernel.
#[test]
fn nothing_is_promised_where_hot_plug_events_have_no_source() {
    let machine = Machine::PseriesWithoutHotplugEvents;
    story_on(Pairing::OURS, machine, &Start::default(), |vm| {
        assert_eq!(vm.armed()?, json!([]));
        let said = "no source of hot plug events: no answer can be promised";
        assert!(vm.kernel_log()?.iter().any(|line| line.contains(said)));
        Ok(())
    });
}
