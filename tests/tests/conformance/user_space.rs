// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that the kernel leaves to user space, in a guest without an agent.

use anyhow::Result;
use papr_unplug_tests::{
    device::{
        Device,
        pci::{Function, Phb},
    },
    pairing::Pairing,
    story::story_on,
    vm::Vm,
    vmm::{machine::Machine, promise::CLASSES, qemu::Start},
};
use serde_json::{Value, json};

/// The number of events that the guest's kernel keeps for user space.
const LOG: usize = 64;

/// Boots a guest with a network card and a PHB, which are there from the start.
fn story_with_devices(tell: impl FnOnce(&mut Vm, &Function, &Phb) -> Result<()>) {
    let (function, phb) = (Function::new(1), Phb::new(1));
    let options = [function.option(), phb.option()].map(|device| ["-device".to_owned(), device]);
    let start = Start::with_options(options.into_iter().flatten());
    story_on(Pairing::OURS, Machine::Pseries, &start, |vm| {
        assert_eq!(vm.armed()?, json!(CLASSES));
        tell(vm, &function, &phb)
    });
}

/// Requests a device, which must be refused by one event that names its request. Returns the reason.
fn refused(vm: &mut Vm, device: &impl Device) -> Result<Value> {
    let removal = vm.remove_pci(device)?;
    let [source, reason] = removal.refusal(["source", "reason"])?;
    assert_eq!(source, json!("reported-by-token"));
    assert_eq!(vm.pending()?, json!([]));
    Ok(reason)
}

/// PUE-G-070, PUE-G-030, PUE-G-032
#[test]
fn requests_are_refused_as_often_as_they_are_made_if_nobody_reads_them() {
    story_with_devices(|vm, function, phb| {
        for _ in 0..3 {
            assert_eq!(refused(vm, function)?, json!("no-agent"));
            assert_eq!(refused(vm, phb)?, json!("no-agent"));
        }
        let counters = vm.counters()?;
        assert_eq!(["refused", "reported", "withdrawn"].map(|name| counters.get(name)), [6, 6, 0]);
        Ok(())
    });
}

/// PUE-G-070, PUE-G-071: a process that reads all events and does nothing about them.
#[test]
fn requests_that_a_reader_ignores_are_refused_each_time() {
    story_with_devices(|vm, function, phb| {
        assert_eq!(refused(vm, function)?, json!("no-agent"));
        vm.guest.sh("cat /proc/powerpc/rtas/error_log > /tmp/events & echo $! > /tmp/reader")?;
        vm.await_counter("voided", 1)?;
        for _ in 0..3 {
            assert_eq!(refused(vm, function)?, json!("agent-failed"));
            assert_eq!(refused(vm, phb)?, json!("agent-failed"));
        }
        vm.guest.sh("kill $(cat /tmp/reader)")?;
        assert_eq!(refused(vm, function)?, json!("no-agent"));
        Ok(())
    });
}

/// PUE-G-031, PUE-G-070: the kernel keeps 64 events. Those that it drops are answered at once, the others when the last
/// process that could read them has closed the log. (Our QEMU keeps 64 requests for one device.)
#[test]
fn requests_without_end_are_dropped_or_without_an_agent_and_each_is_answered() {
    let functions = [1, 2, 3, 4].map(Function::new);
    let options = functions.iter().flat_map(|function| ["-device".to_owned(), function.option()]);
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_options(options), |vm| {
        let mut told = 0;
        for many in [LOG + 1, 200] {
            vm.guest.sh("sleep 1d 3< /proc/powerpc/rtas/error_log & echo $! > /tmp/reader")?;
            let before = vm.qmp.moment();
            for function in functions.iter().cycle().take(many) {
                let _request = vm.request_untraced(function)?;
            }
            vm.await_counter("reported", told + (many - LOG) as u32)?;
            vm.guest.sh("kill $(cat /tmp/reader)")?;
            told += many as u32;
            vm.await_counter("reported", told)?;
            vm.qmp.round_trip()?;
            let events = vm.qmp.since(before).iter();
            let reasons: Vec<_> = events.filter_map(|event| event.body.data("reason").cloned()).collect();
            assert_eq!(reasons[..many - LOG], vec![json!("dropped"); many - LOG]);
            assert_eq!(reasons[many - LOG..], vec![json!("no-agent"); LOG]);
            assert_eq!((vm.pending()?, vm.armed()?), (json!([]), json!(CLASSES)));
        }
        Ok(())
    });
}

/// PUE-G-011, PUE-G-016: what a process reads that slept when the module was loaded is seen.
#[test]
fn classes_of_user_space_are_armed_and_kept_though_a_process_reads_when_the_module_is_loaded() {
    story_with_devices(|vm, function, _| {
        vm.guest.sh("cat /proc/powerpc/rtas/error_log > /tmp/events & echo $! > /tmp/reader")?;
        vm.guest.sh("until grep -q 'State:.S' /proc/$(cat /tmp/reader)/status; do :; done")?;
        for _ in 0..3 {
            vm.unload_module()?;
            vm.load_module()?;
            vm.await_armed(&CLASSES)?;
            assert_eq!(refused(vm, function)?, json!("agent-failed"));
        }
        vm.guest.sh("kill $(cat /tmp/reader)")?;
        Ok(())
    });
}
