// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with the module: the kernel's hint is the only signal at level 0, and the report the only outcome at level 1.

use papr_unplug_tests::{
    device::dimm::{Dimm, TWO_LMBS},
    pairing::Pairing,
    removal::{Outcome, Retry},
    story::{scenario::Scenario, story},
    vm::Vm,
};
use papr_unplug_wire::wire::drc::DrcIndex;
use serde_json::json;

/// Number of events that stock QEMU sends for one UNISOLATE of an LMB.
const EVENTS_OF_AN_LMB: usize = 2;

/// PUE-G-050
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn dimm_with_first_lmb_busy_is_signalled_by_the_kernel_alone() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        told_by_kernel(vm, &dimm, EVENTS_OF_AN_LMB, &[dimm.connector(0)])
    });
}

/// PUE-G-050: the kernel has configured the first LMB again.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn dimm_with_later_lmb_busy_is_not_signalled_once_more() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.put_first_lmb_offline(&dimm)?;
        vm.veto_offlining()?;
        told_by_kernel(vm, &dimm, 1, &[])
    });
}

/// PUE-G-030, PUE-V-041: the hint comes before the report, and is no outcome of its own.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn each_refusal_is_reported_once_by_its_token_though_the_kernel_hints() {
    story(Pairing::OURS, |vm| {
        for (scenario, reason) in [
            (Scenario::CpuLastOnline, "last-cpu"),
            (Scenario::DimmFirstLmbBusy, "memory-veto"),
            (Scenario::DimmLaterLmbBusy, "memory-veto"),
        ] {
            let device = scenario.arrange(vm)?;
            let expected = [json!("reported-by-token"), json!(reason)];
            assert_eq!(vm.remove(&device)?.refusal(["source", "reason"])?, expected, "{scenario}");
            scenario.relieve(vm)?;
            assert_eq!(vm.retry(&device)?, Retry::Accepted, "{scenario}");
        }
        let counters = vm.counters()?;
        assert_eq!(["reported", "released", "withdrawn"].map(|name| counters.get(name)), [3, 3, 0]);
        Ok(())
    });
}

/// PUE-G-034: the kernel tries to give the first LMB back as well, which is the hypervisor's already.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn dimm_with_an_lmb_that_was_removed_inside_the_guest_counts_as_released() {
    story(Pairing::OURS, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        assert_eq!(vm.write_dlpar(&format!("memory remove index {}", dimm.connector(0)))?.attempt.errno, 0);
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        assert_eq!(vm.counters()?.nonzero(), [("guest_initiated", 1), ("released", 1), ("requests", 1)]);
        Ok(())
    });
}

/// PUE-G-046: the kernel gives the LMBs back before the module would.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn dimm_whose_addition_failed_is_released_by_the_kernel() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        vm.veto_onlining()?;
        let dimm = vm.plug_dimm_that_fails(TWO_LMBS)?;
        vm.allow_onlining()?;
        assert_eq!(vm.remove(&dimm)?.outcome, Outcome::Released);
        assert_eq!(vm.counters()?.nonzero(), [("released", 1), ("requests", 1)]);
        Ok(())
    });
}

/// PUE-V-040: the module has not seen how the removal began, and says nothing about it.
#[test]
#[ignore = "boots a kernel of its own: cargo xtask test --kernel hints"]
fn module_loaded_while_a_removal_runs_leaves_it_to_the_kernel() {
    for pairing in [Pairing::STOCK, Pairing::STOCK_ON_OURS] {
        story(pairing, |vm| {
            let (dimm, pages, request) = vm.removal_under_way()?;
            vm.load_module()?;
            vm.veto_offlining()?;
            vm.release_pages(pages)?;
            let removal = vm.watch(request)?;
            assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
            assert_eq!(removal.unisolated(), []);
            assert_eq!(vm.counters()?.get("requests"), 0);
            vm.allow_offlining()?;
            assert_eq!(vm.retry(&dimm)?, Retry::Accepted);
            Ok(())
        });
    }
}

fn told_by_kernel(vm: &mut Vm, dimm: &Dimm, events: usize, unisolated: &[DrcIndex]) -> anyhow::Result<()> {
    let removal = vm.remove(dimm)?;
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, events));
    assert_eq!(removal.unisolated(), unisolated);
    assert_eq!(vm.counters()?.nonzero(), [("refused", 1), ("requests", 1), ("told_by_kernel", 1)]);
    vm.allow_offlining()?;
    assert_eq!(vm.retry(dimm)?, Retry::Accepted);
    Ok(())
}
