// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that are open while another kernel takes over the guest without a reset, which closes no request.

use anyhow::Result;
use papr_unplug_tests::{
    device::dimm::{Dimm, ONE_LMB},
    pairing::Pairing,
    removal::{Outcome, Request},
    story::story_on,
    vm::Vm,
    vmm::{
        machine::{Firmware, Machine},
        promise::CLASSES,
        qemu::Start,
    },
};
use serde_json::{Value, json};

/// Source of an answer that was promised.
const REPORTED: &str = "reported-by-token";

/// PUE-G-010, PUE-G-060: the shutdown of the old kernel waits for its attempt; the promise ends before. The result of
/// the attempt reaches the host as from a guest that has promised nothing.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel debug"]
fn removal_that_the_next_kernel_waits_for_is_released_once() {
    story_on(Pairing::OURS, Machine::Pseries, &start(""), |vm| {
        vm.load_kernel()?;
        let (dimm, pages, request) = vm.removal_under_way()?;
        assert_eq!(open(vm)?, [(1, true, true)]);
        vm.start_kernel()?;
        vm.await_armed(&[])?;
        assert_eq!((open(vm)?, names(vm, &request)?), (vec![(1, false, true)], vec![]));

        vm.release_pages(pages)?;
        vm.await_boot()?;
        assert_eq!(names(vm, &request)?, ["DEVICE_DELETED"]);
        assert_eq!((vm.armed()?, open(vm)?), (json!([]), vec![]));

        vm.forget(&dimm)?;
        vm.load_module()?;
        let next = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        assert_eq!(refused(vm, &next)?, [(json!(2), json!(REPORTED))]);
        Ok(())
    });
}

/// PUE-G-050, PUE-G-060: the attempt fails while the shutdown waits for it. The next kernel does not know the DIMM, and
/// gives it back when it is asked.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel debug"]
fn removal_that_the_next_kernel_waits_for_is_refused_once() {
    story_on(Pairing::OURS, Machine::Pseries, &start(""), |vm| {
        let (dimm, pages, request) = vm.removal_under_way()?;
        vm.load_kernel()?;
        vm.start_kernel()?;
        vm.await_armed(&[])?;
        vm.veto_offlining()?;
        vm.release_pages(pages)?;
        vm.await_boot()?;
        let events = vm.events_about(&request)?;
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            (event.body.data("request"), event.body.data("source")),
            (Some(&json!(1)), Some(&json!("inferred")))
        );

        vm.load_module()?;
        assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![]));
        assert_eq!(released(vm, &dimm)?, json!([2]));
        assert_eq!(vm.counters()?.get("recovered"), 2);
        Ok(())
    });
}

/// PUE-V-037: the next kernel does not know the request. Its answer to another request for the DIMM ends both.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel debug"]
fn request_that_nobody_answered_outlives_its_kernel_and_ends_with_the_next_answer() {
    story_on(Pairing::STOCK_ON_OURS, Machine::Pseries, &start(""), |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        let request = vm.request(&dimm)??;
        vm.trace.attempt(&mut vm.guest)?;
        vm.load_module()?;
        vm.load_kernel()?;
        vm.start_kernel()?;
        vm.await_boot()?;
        assert_eq!((vm.armed()?, open(vm)?, names(vm, &request)?), (json!([]), vec![(1, false, false)], vec![]));

        vm.load_module()?;
        assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![(1, false, false)]));
        assert_eq!(released(vm, &dimm)?, json!([1, 2]));
        assert_eq!(open(vm)?, []);
        Ok(())
    });
}

/// PUE-V-016, PUE-V-037: the request is not promised, and either kernel may take it. The answer to the next request for
/// the DIMM ends it.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel debug"]
fn request_between_two_kernels_ends_once() {
    story_on(Pairing::OURS, Machine::Pseries, &start(""), |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.load_kernel()?;
        vm.start_kernel()?;
        vm.console.wait_for("kexec: Starting switchover sequence")?;
        let request = vm.request_untraced(&dimm)?;
        assert_eq!(open(vm)?, [(1, false, false)]);
        vm.await_boot()?;
        println!("when the next kernel is up: {:?}, events: {:?}", open(vm)?, names(vm, &request)?);
        vm.load_module()?;
        assert_eq!(released(vm, &dimm)?, json!([1, 2]));
        assert_eq!(open(vm)?, []);
        Ok(())
    });
}

/// PUE-G-010: the promise of a kernel that panicked lasts until the crash kernel sends DISARM. The crash kernel gives
/// back nothing that it does not hold, because that is what it is to dump.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel debug"]
fn request_of_a_kernel_that_panics_is_promised_until_the_crash_kernel_speaks() {
    story_on(Pairing::OURS, Machine::Pseries, &start("crashkernel=512M"), |vm| {
        let (dimm, request) = crash_in_the_middle(vm)?;
        vm.load_module()?;
        assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![(1, false, true)]));
        assert_eq!(names(vm, &request)?, <[&str; 0]>::default());
        assert_eq!(refused(vm, &dimm)?, [(json!(1), json!("inferred")), (json!(2), json!(REPORTED))]);
        assert_eq!(open(vm)?, []);
        Ok(())
    });
}

/// PUE-V-016, PUE-V-070: a crash kernel that sends nothing and resets the machine, as one does after a dump.
#[test]
#[ignore = "boots a kernel that starts another: cargo xtask test --kernel debug"]
fn request_of_a_kernel_that_panics_is_closed_when_the_crash_kernel_reboots() {
    let start = Start { firmware: Firmware::Slof, ..start("crashkernel=512M") };
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        let (_dimm, request) = crash_in_the_middle(vm)?;
        vm.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        let _gone = vm.guest.start("reboot -f")?;
        vm.await_boot()?;
        assert_eq!(names(vm, &request)?, ["DEVICE_DELETED"]);
        assert_eq!((vm.armed()?, open(vm)?), (json!([]), vec![]));
        Ok(())
    });
}

fn start(kernel_arguments: &'static str) -> Start {
    Start { has_boot_files: true, ..Start::with_kernel_arguments(kernel_arguments) }
}

/// Makes the guest panic during an attempt, and waits until the crash kernel is up. The host gets no event.
fn crash_in_the_middle(vm: &mut Vm) -> Result<(Dimm, Request)> {
    let (dimm, _pages, request) = vm.removal_under_way()?;
    vm.load_crash_kernel()?;
    vm.crash()?;
    assert_eq!((vm.armed()?, open(vm)?), (json!(CLASSES), vec![(1, true, true)]));
    assert_eq!(names(vm, &request)?, <[&str; 0]>::default());
    Ok((dimm, request))
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

/// Requests a DIMM that the guest gives back. Returns the numbers of the requests that end with it.
fn released(vm: &mut Vm, dimm: &Dimm) -> Result<Value> {
    let removal = vm.remove(dimm)?;
    assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
    let [event] = removal.events.as_slice() else { panic!("{:?}", removal.events) };
    Ok(event.body.data("requests").cloned().unwrap_or_default())
}

/// Requests a DIMM that the guest refuses. Returns number and source of all events about it.
fn refused(vm: &mut Vm, dimm: &Dimm) -> Result<Vec<(Value, Value)>> {
    let removal = vm.remove(dimm)?;
    assert_eq!(removal.outcome, Outcome::Refused, "{:?}", removal.events);
    let of =
        |name: &str, event: &papr_unplug_tests::vmm::qmp::Event| event.body.data(name).cloned().unwrap_or_default();
    Ok(removal.events.iter().map(|event| (of("request", event), of("source", event))).collect())
}
