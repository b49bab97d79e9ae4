// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons of refusals of a CPU core.

use papr_unplug_tests::{
    device::cpu::Cpu,
    pairing::Pairing,
    removal::Retry,
    report::occurrence::{
        Expectation,
        Means::{self, Driver, Fault, Injection, Natural},
    },
    story::{story, story_on},
    trigger::fault::{NOT_ISOLATED, Override, overriding},
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::reason::Reason;

/// Prints the number of a CPU hotplug state that every kernel has and that acts when a CPU goes offline.
const STATE: &str = "sed -n 's/: *workqueue:online$//p' /sys/devices/system/cpu/hotplug/states";

/// PUE-G-036. Linux 7.3-rc7 itself does not refuse to offline the last housekeeping CPU, and crashes
/// (`docs/adr/0060-the-last-housekeeping-cpu.md`).
#[test]
fn last_cpu_and_last_housekeeping_cpu() {
    let isolated = Start::with_kernel_arguments("isolcpus=2-3");
    story_on(Pairing::OURS, Machine::Pseries, &isolated, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        vm.trigger(&cpu, &case(Natural, "the others are offline", Reason::LAST_CPU, 16, &cpu))?;
        vm.put_boot_cpu_online()?;

        vm.plug_cpu(2)?;
        vm.put_boot_cpu_offline()?;
        vm.begin_fault_after_module(&overriding(&[Override::always("_cpu_down", -16)]))?;
        let how = "booted with isolcpus=2-3, CPU 0 offline; _cpu_down() says EBUSY, as it should";
        vm.trigger(&cpu, &case(Fault, how, Reason::LAST_HOUSEKEEPING_CPU, 16, &cpu))?;
        vm.end_fault()?;
        vm.put_boot_cpu_online()?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036
#[test]
fn hotplug_state_that_says_no_is_named() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        for errno in [16, 125] {
            vm.begin_fault(&format!("veto=-{errno}"))?;
            let state = vm.guest.sh("cat /sys/module/papr_fault/parameters/state")?;
            let how = "a module's state of CPU hotplug says no";
            let refusal = vm.trigger(&cpu, &case(Driver, how, Reason::CPU_VETO, errno, &cpu))?;
            assert_eq!(refusal.get("state"), Some(state.trim()));
            vm.end_fault()?;
        }

        // The kernel fails in place of the state, which does not run, so its number is not known.
        let state = vm.guest.sh(STATE)?;
        vm.guest.sh(&format!("echo {} > /sys/devices/system/cpu/cpu1/hotplug/fail", state.trim()))?;
        let how = "/sys/devices/system/cpu/cpu1/hotplug/fail";
        let refusal = vm.trigger(&cpu, &case(Injection, how, Reason::CPU_VETO, 11, &cpu))?;
        assert_eq!(refusal.get("state"), None);
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036
#[test]
fn hotplug_that_is_disabled_or_forbidden_for_a_cpu() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.begin_fault("disabled=1")?;
        let how = "cpu_hotplug_disable(), as during suspend or kexec";
        vm.trigger(&cpu, &case(Driver, how, Reason::CPU_HOTPLUG_DISABLED, 16, &cpu))?;
        vm.end_fault()?;

        vm.begin_fault("fixed=1")?;
        let how = "the CPU's device is marked as one that stays online";
        vm.trigger(&cpu, &case(Driver, how, Reason::CPU_HOTPLUG_DISABLED, 1, &cpu))?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036: the first thread stays offline, and the core can still be released.
#[test]
fn core_of_which_one_thread_has_gone_offline() {
    story_on(Pairing::OURS, Machine::PseriesOfTwoThreads, &Start::default(), |vm| {
        let core = vm.plug_cpu(2)?;
        let online = |vm: &mut Vm| vm.guest.sh("cat /sys/devices/system/cpu/online");
        assert_eq!(online(vm)?.trim(), "0-3");
        let state = vm.guest.sh(STATE)?;
        vm.guest.sh(&format!("echo {} > /sys/devices/system/cpu/cpu3/hotplug/fail", state.trim()))?;
        let how = "two threads to a core, /sys/devices/system/cpu/cpu3/hotplug/fail for the second";
        vm.trigger(&core, &case(Injection, how, Reason::CORE_PARTLY_OFFLINE, 11, &core))?;
        assert_eq!(online(vm)?.trim(), "0-1,3");
        assert_eq!(vm.retry(&core)?, Retry::Accepted);
        assert_eq!(online(vm)?.trim(), "0-1");
        Ok(())
    });
}

/// PUE-G-036
#[test]
fn core_that_the_guest_does_not_know() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.guest.sh("echo 0 > /sys/devices/system/cpu/cpu1/online")?;
        vm.guest.sh(&format!("echo dt remove index {:#x} > /sys/kernel/dlpar", cpu.connector().0))?;
        let how = "its node removed with `dt remove` in /sys/kernel/dlpar";
        vm.trigger(&cpu, &case(Natural, how, Reason::NO_SUCH_RESOURCE, 19, &cpu))?;
        // Linux 7.3-rc7 leaks the device tree node that it has removed so, without the module as well.
        vm.forget_leaks_below("dlpar_cpu_add")
    });
}

/// PUE-G-036
#[test]
fn core_that_firmware_does_not_take_back() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        vm.begin_fault(&overriding(&[NOT_ISOLATED]))?;
        let how = "rtas_set_indicator(9001) fails";
        vm.trigger(&cpu, &case(Fault, how, Reason::FIRMWARE_REFUSED, 5, &cpu))?;
        assert_eq!(vm.guest.sh("cat /sys/devices/system/cpu/online")?.trim(), "0-1");
        vm.end_fault()?;

        vm.begin_fault(&overriding(&[NOT_ISOLATED, Override::always("device_online", -12)]))?;
        let how = "rtas_set_indicator(9001) fails, and then device_online()";
        vm.trigger(&cpu, &case(Fault, how, Reason::ROLLBACK_FAILED, 12, &cpu))?;
        assert_eq!(vm.guest.sh("cat /sys/devices/system/cpu/online")?.trim(), "0");
        vm.end_fault()?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036
#[test]
fn core_that_stays_for_an_error_that_says_nothing() {
    story(Pairing::OURS, |vm| {
        let cpu = vm.plug_cpu(1)?;
        for (reason, errno) in [(Reason::NO_MEMORY, 12), (Reason::UNATTRIBUTED, 5)] {
            vm.begin_fault(&overriding(&[Override::always("cpu_device_down", -errno)]))?;
            vm.trigger(&cpu, &case(Fault, "cpu_device_down() fails", reason, errno, &cpu))?;
            vm.end_fault()?;
        }
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        Ok(())
    });
}

fn case<'a>(means: Means, how: &'a str, reason: Reason, errno: i64, cpu: &Cpu) -> Expectation<'a> {
    Expectation { means, how, reason, errno, drc: cpu.connector() }
}
