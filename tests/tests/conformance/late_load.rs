// SPDX-License-Identifier: MIT OR Apache-2.0

//! Module that is loaded while a removal runs: the kernel's hint about that removal is its outcome.

use papr_unplug_tests::{
    device::dimm::Dimm, pairing::Pairing, removal::Request, story::story, trigger::busy::HeldPages, vm::Vm,
};
use serde_json::json;

/// PUE-V-040
#[test]
fn removal_during_which_the_module_is_loaded_is_refused_by_the_hint() {
    story(Pairing::STOCK_ON_OURS, |vm| {
        let removal = vm.removal_under_way()?;
        vm.load_module()?;
        refused_by_the_hint(vm, removal)
    });
}

/// PUE-V-026, PUE-V-040: the promise of the request ended with the first module.
#[test]
fn removal_during_which_the_module_is_reloaded_is_refused_by_the_hint() {
    story(Pairing::OURS, |vm| {
        let removal = vm.removal_under_way()?;
        vm.unload_module()?;
        vm.load_module()?;
        refused_by_the_hint(vm, removal)
    });
}

/// PUE-V-036, PUE-V-040: the device is gone, whoever has promised what.
#[test]
fn removal_during_which_the_module_is_reloaded_is_released() {
    story(Pairing::OURS, |vm| {
        let (_, pages, request) = vm.removal_under_way()?;
        vm.unload_module()?;
        vm.load_module()?;
        vm.release_pages(pages)?;
        assert_eq!(vm.watch(request)?.events[0].body.name(), "DEVICE_DELETED");
        assert_eq!(vm.pending()?, json!([]));
        Ok(())
    });
}

/// Makes the removal fail at its second LMB. The kernel puts the first one back, which is a hint.
fn refused_by_the_hint(vm: &mut Vm, (dimm, pages, request): (Dimm, HeldPages, Request)) -> anyhow::Result<()> {
    vm.veto_offlining()?;
    vm.release_pages(pages)?;
    let removal = vm.watch(request)?;
    assert_eq!(removal.refusal(["request", "source"])?, [json!(1), json!("inferred")]);
    assert_eq!(removal.unisolated(), [dimm.connector(0)]);
    assert_eq!(vm.pending()?, json!([]));
    assert_eq!(vm.remove(&dimm)?.refusal(["request", "source"])?, [json!(2), json!("reported-by-token")]);
    Ok(())
}
