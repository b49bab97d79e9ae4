// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests that the kernel leaves to user space, where no agent or a strange one is. Tests with the distribution's
//! agent are elsewhere.

use anyhow::Result;
use papr_unplug_tests::{
    device::pci::Function,
    pairing::Pairing,
    story::story_on,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};

/// Process that reads every event and does nothing about it.
const READER: &str = "cat /proc/powerpc/rtas/error_log > /tmp/events & echo $! > /tmp/reader";

/// Boots a guest of this pairing with PCI devices in slots 4 and 5.
fn story_with_devices(pairing: Pairing, tell: impl FnOnce(&mut Vm, [Function; 2]) -> Result<()>) {
    let devices = [4, 5].map(Function::new);
    let start = Start::with_options(devices.iter().flat_map(|device| ["-device".to_owned(), device.option()]));
    story_on(pairing, Machine::Pseries, &start, |vm| tell(vm, devices));
}

/// Requests a device. The host may not be told of the outcome.
fn request(vm: &mut Vm, device: &Function) -> Result<()> {
    vm.request_untraced(device).map(drop)
}

/// Waits for refusal `number` and returns what debugfs says of it.
fn await_refusal(vm: &mut Vm, number: u32) -> Result<String> {
    vm.await_counter("refused", number)?;
    vm.guest.sh(&format!("grep '^seq={number} ' /sys/kernel/debug/papr_unplug/refusals"))
}

fn refusal(number: u32, device: &Function, reason: &str) -> String {
    let detail = if reason == "agent-failed" { "status=0" } else { "errno=0" };
    format!("seq={number} resource=pci connector={} reason={reason} {detail} told=module\n", device.connector())
}

/// Waits until the process of [`READER`] sleeps.
fn await_reader(vm: &mut Vm) -> Result<()> {
    vm.guest.sh("until grep -q 'State:.S' /proc/$(cat /tmp/reader)/status; do :; done").map(drop)
}

#[test]
fn request_is_refused_if_no_process_has_the_log_open() {
    story_with_devices(Pairing::OURS_ON_STOCK, |vm, [device, _]| {
        request(vm, &device)?;
        assert_eq!(await_refusal(vm, 1)?, refusal(1, &device, "no-agent"));
        assert_eq!(vm.guest.sh("cat /sys/kernel/debug/papr_unplug/handover")?, "");
        Ok(())
    });
}

/// The event stays in the kernel's log. Whoever reads it is not to begin with it.
#[test]
fn request_that_was_refused_asks_for_nothing_when_it_is_read() {
    story_with_devices(Pairing::OURS_ON_STOCK, |vm, [device, other]| {
        request(vm, &device)?;
        await_refusal(vm, 1)?;
        request(vm, &other)?;
        await_refusal(vm, 2)?;
        vm.guest.sh(READER)?;
        vm.await_counter("voided", 2)?;
        // The request follows the 8 bytes of the section's header. It begins with its resource and its action.
        let bytes = "hexdump -v -e '1/1 \"%02x\"' /tmp/events";
        let requests = format!("{bytes} | grep -o '4850............05..' | sed 's/.*\\(....\\)$/\\1/'");
        assert_eq!(vm.guest.sh(&requests)?, "0500\n0500\n");
        assert_eq!(vm.counters()?.get("refused"), 2);
        Ok(())
    });
}

#[test]
fn request_that_a_reader_ignores_is_refused() {
    story_with_devices(Pairing::OURS_ON_STOCK, |vm, [device, other]| {
        vm.guest.sh(READER)?;
        await_reader(vm)?;
        request(vm, &device)?;
        assert_eq!(await_refusal(vm, 1)?, refusal(1, &device, "agent-failed"));
        vm.guest.sh("kill $(cat /tmp/reader)")?;
        request(vm, &other)?;
        assert_eq!(await_refusal(vm, 2)?, refusal(2, &other, "no-agent"));
        Ok(())
    });
}

#[test]
fn request_waits_in_the_log_while_a_process_has_that_open() {
    story_with_devices(Pairing::OURS_ON_STOCK, |vm, [device, _]| {
        vm.guest.sh("sleep 1d 3< /proc/powerpc/rtas/error_log & echo $! > /tmp/reader")?;
        request(vm, &device)?;
        let waits = "until grep place=log /sys/kernel/debug/papr_unplug/handover; do :; done";
        let connector = device.connector();
        assert_eq!(vm.guest.sh(waits)?, format!("resource=pci connector={connector} place=log\n"));
        assert_eq!(vm.counters()?.get("requests"), 0);
        vm.guest.sh("kill $(cat /tmp/reader)")?;
        assert_eq!(await_refusal(vm, 1)?, refusal(1, &device, "no-agent"));
        Ok(())
    });
}

#[test]
fn module_loaded_while_a_process_reads_sees_what_that_reads() {
    story_with_devices(Pairing::STOCK, |vm, [device, other]| {
        vm.guest.sh(READER)?;
        await_reader(vm)?;
        vm.load_module()?;
        request(vm, &device)?;
        assert_eq!(await_refusal(vm, 1)?, refusal(1, &device, "agent-failed"));
        vm.unload_module()?;
        vm.load_module()?;
        request(vm, &other)?;
        assert_eq!(await_refusal(vm, 1)?, refusal(1, &other, "agent-failed"));
        Ok(())
    });
}

#[test]
fn module_unloaded_while_a_process_reads_lets_it_read_on() {
    story_with_devices(Pairing::OURS_ON_STOCK, |vm, [device, other]| {
        vm.guest.sh(READER)?;
        await_reader(vm)?;
        vm.unload_module()?;
        for device in [device, other] {
            vm.guest.sh(": > /tmp/events")?;
            request(vm, &device)?;
            vm.guest.sh("until grep -q HP /tmp/events; do :; done")?;
        }
        vm.guest.sh("kill $(cat /tmp/reader)")?;
        Ok(())
    });
}
