// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations of the module: all are made at load, so the module works when memory has run out.

use anyhow::Result;
use papr_unplug_tests::{
    device::dimm::ONE_LMB,
    guest::shell::Shell,
    pairing::Pairing,
    removal::Outcome,
    story::{scenario::Scenario, story},
    vm::Vm,
};

/// Traces all allocations with their stacks.
const TRACE: &str = "mkdir /sys/kernel/tracing/instances/memory && cd /sys/kernel/tracing/instances/memory && \
                     echo 16384 > buffer_size_kb && echo 1 > options/stacktrace && \
                     for event in kmalloc kmem_cache_alloc mm_page_alloc; do echo 1 > events/kmem/$event/enable; done; \
                     cd /root";
/// Prints the number of stacks with a function of the module, the number of buffers that overran, and the number of
/// kmalloc() calls, and begins again.
const COUNT: &str = "cd /sys/kernel/tracing/instances/memory && echo 0 > tracing_on && \
                     grep -c '\\[papr_unplug\\]' trace; cat per_cpu/cpu*/stats | grep -c 'overrun: [1-9]'; \
                     grep -c ': kmalloc: ' trace; echo > trace; echo 1 > tracing_on; cd /root";

#[test]
fn module_allocates_as_it_is_loaded_and_never_after() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        vm.guest.sh(TRACE)?;
        vm.load_module()?;
        let [at_load, lost, all] = counted(&mut vm.guest)?;
        assert!(at_load != 0 && lost == 0 && all != 0, "{at_load} of {all}, {lost} lost");

        let dimm = vm.plug_dimm(ONE_LMB)?;
        vm.veto_offlining()?;
        counted(&mut vm.guest)?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Refused);
        vm.allow_offlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        assert_eq!(allocations(vm)?, 0);

        let cpu = Scenario::CpuLastOnline.arrange(vm)?;
        counted(&mut vm.guest)?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Refused);
        Scenario::CpuLastOnline.relieve(vm)?;
        assert_eq!(vm.remove(&cpu)?.outcome, Outcome::Released);
        assert_eq!(allocations(vm)?, 0);
        assert_eq!(vm.counters()?.get("reported"), 2);
        Ok(())
    });
}

/// Returns the number of the module's allocations since the last count.
fn allocations(vm: &mut Vm) -> Result<u64> {
    let [of_module, lost, all] = counted(&mut vm.guest)?;
    assert!(lost == 0 && all != 0, "{of_module} of {all}, {lost} lost");
    Ok(of_module)
}

fn counted(guest: &mut Shell) -> Result<[u64; 3]> {
    let text = guest.sh(COUNT)?;
    let mut counts = text.lines().map(str::parse);
    Ok([(); 3].map(|()| counts.next().and_then(Result::ok).unwrap_or(u64::MAX)))
}
