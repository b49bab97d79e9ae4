// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where a kernel has no `handle_dlpar_errorlog`, as it made it a part of its callers, the module follows the kernel's work on
//! the hypervisor's requests. Its parameter `by_work` has it do so on any kernel.

use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    device::{Device, dimm::TWO_LMBS},
    pairing::Pairing,
    removal::{Outcome, Removal},
    story::story,
    vm::Vm,
};
use serde_json::json;

#[test]
fn each_removal_is_answered_as_ever() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        load(vm)?;
        let (busy, free) = (vm.plug_dimm(TWO_LMBS)?, vm.plug_dimm(TWO_LMBS)?);
        assert_eq!(vm.remove(&free)?.outcome, Outcome::Released);
        vm.veto_offlining()?;
        assert_eq!(reason(&refused(vm, &busy)?)?, "memory-veto");
        let cpu = vm.plug_cpu(1)?;
        vm.put_boot_cpu_offline()?;
        assert_eq!(reason(&refused(vm, &cpu)?)?, "last-cpu");
        assert_eq!(vm.counters()?.nonzero(), [("refused", 2), ("released", 1), ("reported", 2), ("requests", 3)]);
        Ok(())
    });
}

#[test]
fn refusal_that_the_kernel_keeps_to_itself_is_signalled_to_a_stock_vmm() {
    story(Pairing::STOCK, |vm| {
        load(vm)?;
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let removal = refused(vm, &dimm)?;
        assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(0)]));
        Ok(())
    });
}

#[test]
fn removal_that_the_administrator_asks_for_sends_nothing() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        load(vm)?;
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let errand = vm.write_dlpar(&format!("memory remove index {}", dimm.connector(0)))?;
        assert!(errand.attempt.errno < 0);
        assert_eq!(errand.calls, []);
        assert_eq!(vm.counters()?.nonzero(), []);
        Ok(())
    });
}

fn load(vm: &mut Vm) -> Result<()> {
    vm.load_module_with("by_work=1")?;
    let probes = vm.probes()?;
    let symbols: Vec<_> = probes.iter().take(3).map(|probe| probe.symbol.as_str()).collect();
    assert_eq!(symbols, ["pseries_hp_work_fn", "dlpar_memory", "dlpar_cpu"]);
    assert!(probes.iter().all(|probe| probe.symbol != "handle_dlpar_errorlog"));
    Ok(())
}

/// Asks for a device and waits for the host to be told. That comes after the end of the attempt here: only then does the
/// kernel's worker end its work.
fn refused(vm: &mut Vm, device: &impl Device) -> Result<Removal> {
    let asked = vm.request(device)??;
    vm.await_outcome(&asked)?;
    vm.watch(asked)
}

/// The reason of the one event that there was, by the token of the request.
fn reason(removal: &Removal) -> Result<String> {
    assert_eq!((removal.outcome, removal.events.len()), (Outcome::Refused, 1));
    let event = removal.events.first().context("no event")?;
    assert_eq!(event.body.data("source"), Some(&json!("reported-by-token")));
    Ok(event.body.data("reason").and_then(|reason| reason.as_str()).context("no reason")?.to_owned())
}
