// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons that only the debugging kernel can have: failing allocations, huge pages, firmware-assisted dump.

use anyhow::Result;
use papr_unplug_tests::{
    device::{Device, dimm::ONE_LMB},
    pairing::Pairing,
    removal::Retry,
    report::occurrence::{
        Expectation,
        Means::{Driver, Fault, Injection, Natural},
    },
    soak::faults::lose_request,
    story::story,
    trigger::fault::{Override, overriding},
    vm::Vm,
};
use papr_unplug_wire::wire::{drc::DrcIndex, reason::Reason};

/// PUE-G-031, PUE-G-035
#[test]
#[ignore = "boots a kernel whose allocations fail on demand: cargo xtask test --kernel debug"]
fn request_that_the_kernel_has_no_memory_for() {
    story(Pairing::OURS, |vm| {
        let (cpu, dimm) = (vm.plug_cpu(1)?, vm.plug_dimm(ONE_LMB)?);
        dropped(vm, &cpu, cpu.connector())?;
        dropped(vm, &dimm, dimm.connector(0))?;
        assert_eq!(vm.retry(&cpu)?, Retry::Accepted);
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// Requests a device while all atomic slab allocations fail.
fn dropped(vm: &mut Vm, device: &impl Device, drc: DrcIndex) -> Result<()> {
    let events = lose_request(vm, device)?;
    let how = "failslab, GFP_ATOMIC in queue_hotplug_event()";
    vm.record_events(&events, &Expectation { means: Injection, how, reason: Reason::DROPPED, errno: 12, drc })
}

/// PUE-G-036: the free pages of the pool are reserved for a file system, so none can be dissolved.
#[test]
#[ignore = "boots a kernel with huge pages: cargo xtask test --kernel debug"]
fn huge_pages_that_are_promised_to_others() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.guest.sh("echo 4 > /proc/sys/vm/nr_hugepages && mkdir /tmp/huge")?;
        let size = vm.guest.sh("sed -n 's/^Hugepagesize: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo")?;
        let reserved = 4 * size.trim().parse::<u32>()?;
        vm.guest.sh(&format!("mount -t hugetlbfs -o min_size={reserved}K none /tmp/huge"))?;
        let how = "every free huge page is reserved (hugetlbfs, min_size=)";
        let case = Expectation { means: Natural, how, reason: Reason::HUGE_PAGE, errno: 16, drc: dimm.connector(0) };
        vm.trigger(&dimm, &case)?;
        vm.guest.sh("umount /tmp/huge && echo 0 > /proc/sys/vm/nr_hugepages")?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036. (This QEMU has no firmware-assisted dump, so the function is overridden.)
#[test]
#[ignore = "boots a kernel with firmware-assisted dump: cargo xtask test --kernel debug"]
fn lmb_of_firmware_assisted_dump() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.begin_fault_after_module(&overriding(&[Override::always("is_fadump_memory_area", 1)]))?;
        let how = "is_fadump_memory_area() says that it is";
        let case = Expectation { means: Fault, how, reason: Reason::LMB_FADUMP, errno: 22, drc: dimm.connector(0) };
        vm.trigger(&dimm, &case)?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}

/// PUE-G-036: a reserved LMB in a range is seen only where get_lmb_range() is not inlined, as in this kernel.
#[test]
#[ignore = "needs a kernel that shows its search for LMBs: cargo xtask test --kernel debug"]
fn reserved_lmb_of_a_range() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(ONE_LMB)?;
        let parameters = vm.lmb_flags(dimm.connector(0), 0x88)?;
        vm.begin_fault(&parameters)?;
        let how = "by index and count, the LMB is reserved in the kernel's table";
        let case = Expectation { means: Driver, how, reason: Reason::LMB_RESERVED, errno: 22, drc: dimm.connector(0) };
        vm.trigger(&dimm, &case)?;
        vm.end_fault()?;
        assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
        Ok(())
    });
}
