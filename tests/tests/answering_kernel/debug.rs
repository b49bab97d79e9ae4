// SPDX-License-Identifier: MIT OR Apache-2.0

//! What takes the options of the debug kernel: another kernel that takes over without a reset, and requests that are lost.

use crate::{ANSWERING, BY_TOKEN, CLASSES};
use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    device::{Device, dimm::ONE_LMB},
    removal::{Outcome, Request},
    story::{story, story_on},
    vm::Vm,
    vmm::{machine::Machine, qemu::Start, qmp::Event},
};
use serde_json::{Value, json};

/// Line of the kernel log at the end of failing atomic allocations.
const ALLOCATIONS_SUCCEED: &str = "papr-unplug: allocations succeed again";

/// PUE-G-010, PUE-G-060: the shutdown of the old kernel waits for its attempt; the promise ends before. The next kernel
/// promises anew.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel answers-debug"]
fn removal_that_the_next_kernel_waits_for_is_released_once_and_the_next_one_is_promised() {
    story_on(ANSWERING, Machine::Pseries, &start(""), |vm| {
        vm.load_kernel()?;
        let (dimm, pages, request) = vm.removal_under_way()?;
        assert_eq!(open(vm)?, [(1, true, true)]);
        vm.start_kernel()?;
        vm.await_armed(&[])?;
        assert_eq!((open(vm)?, names(vm, &request)?), (vec![(1, false, true)], vec![]));

        vm.release_pages(pages)?;
        vm.await_boot()?;
        assert_eq!(names(vm, &request)?, ["DEVICE_DELETED"]);
        assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![]));

        vm.forget(&dimm)?;
        let next = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(vm.remove(&next)?.refusal(["request", "source"])?, [json!(2), json!(BY_TOKEN)]);
        Ok(())
    });
}

/// PUE-G-046: the attempt fails while the shutdown waits for it. The next kernel does not know the DIMM, and gives it back
/// when it is asked.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel answers-debug"]
fn dimm_that_the_next_kernel_does_not_know_is_given_back() {
    story_on(ANSWERING, Machine::Pseries, &start(""), |vm| {
        let (dimm, pages, request) = vm.removal_under_way()?;
        vm.load_kernel()?;
        vm.start_kernel()?;
        vm.await_armed(&[])?;
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        vm.await_boot()?;
        let events = vm.events_about(&request)?;
        let [event] = events.as_slice() else { panic!("{events:?}") };
        let member = |name| event.body.data(name).cloned();
        assert_eq!(["request", "source"].map(member), [Some(json!(1)), Some(json!("inferred"))]);

        assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![]));
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-010: the promise of a kernel that panicked lasts until the crash kernel sends DISARM. The crash kernel gives
/// back nothing that it does not hold, because that is what it is to dump.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel answers-debug"]
fn request_of_a_kernel_that_panics_ends_with_the_crash_kernels_next_answer() {
    story_on(ANSWERING, Machine::Pseries, &start("crashkernel=512M"), |vm| {
        let (dimm, _pages, request) = vm.removal_under_way()?;
        vm.load_crash_kernel()?;
        vm.crash()?;
        assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![(1, false, true)]));
        assert_eq!(names(vm, &request)?, <[&str; 0]>::default());
        let removal = vm.remove(&dimm)?;
        assert_eq!(removal.outcome, Outcome::Refused, "{:?}", removal.events);
        let of = |name: &str, event: &Event| event.body.data(name).cloned().unwrap_or_default();
        let told: Vec<_> = removal.events.iter().map(|event| (of("request", event), of("source", event))).collect();
        assert_eq!(told, [(json!(1), json!("inferred")), (json!(2), json!(BY_TOKEN))]);
        assert_eq!(open(vm)?, []);
        Ok(())
    });
}

/// PUE-G-031
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel answers-debug"]
fn request_that_is_lost_is_answered_by_name() {
    story(ANSWERING, |vm| {
        let cpu = vm.plug_cpu(1)?;
        for _ in 0..10 {
            let lost = lose_request(vm, &cpu)?;
            let [event] = lost.as_slice() else { panic!("{lost:?}") };
            let member = |name| event.body.data(name).cloned();
            let expected = [json!(BY_TOKEN), json!("dropped"), json!(12)];
            assert_eq!(["source", "reason", "errno"].map(member), expected.map(Some));
        }
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Released);
        Ok(())
    });
}

/// PUE-G-031, PUE-G-035: answers are in order for each device only.
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel answers-debug"]
fn lost_request_is_answered_while_the_removal_of_another_device_hangs() {
    story(ANSWERING, |vm| {
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

fn start(kernel_arguments: &'static str) -> Start {
    Start { has_boot_files: true, ..Start::with_kernel_arguments(kernel_arguments) }
}

/// Requests a device while all atomic allocations fail, until the kernel has handled the interrupt. Returns the events
/// about the request.
fn lose_request(vm: &mut Vm, device: &impl Device) -> Result<Vec<Event>> {
    vm.guest.sh("taken=$(grep RAS_HOTPLUG /proc/interrupts)")?;
    let is_taken = "[ \"$(grep RAS_HOTPLUG /proc/interrupts)\" != \"$taken\" ]";
    vm.fail_atomic_allocations_until(100, is_taken, ALLOCATIONS_SUCCEED)?;
    let request = vm.request_untraced(device)?;
    vm.await_outcome(&request)?;
    vm.console.wait_for(ALLOCATIONS_SUCCEED).context("waiting for allocations to succeed")?;
    vm.events_about(&request)
}

/// Returns number, `promised` and `started` of the open requests.
fn open(vm: &mut Vm) -> Result<Vec<(u64, bool, bool)>> {
    let pending = vm.pending()?;
    let of = |request: &Value| {
        let flag = |name: &str| request[name].as_bool().unwrap();
        (request["request"].as_u64().unwrap(), flag("promised"), flag("started"))
    };
    Ok(pending.as_array().unwrap().iter().map(of).collect())
}

/// Returns the names of the events about a request.
fn names(vm: &mut Vm, request: &Request) -> Result<Vec<String>> {
    Ok(vm.events_about(request)?.iter().map(|event| event.body.name().to_owned()).collect())
}
