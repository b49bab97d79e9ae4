// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernels that take no node out of the device tree.

use crate::{is_released, on_distribution, on_phb, open, own_agent, refusal, released};
use papr_unplug_tests::device::pci::{Function, Phb};
use papr_unplug_wire::wire::reason::Reason;
use serde_json::Value;

/// The error of the kernel for an index that is too short.
const EOVERFLOW: i64 = 75;

/// The cause, for people.
const OBSTRUCTED: &str = "a node whose DRC index is too short, added in /proc/powerpc/ofdt";

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn function_whose_node_stays_in_the_device_tree_is_given_back_to_the_kernel_and_refused() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        own_agent::start(vm)?;
        vm.hide_drmgr()?;
        vm.obstruct_device_tree()?;
        vm.trigger_pci(&card, &refusal(card.connector(), Reason::DETACH_FAILED, EOVERFLOW, OBSTRUCTED))?;
        assert!(vm.has_function(&card)?);
        vm.clear_device_tree()?;
        released(vm, &card)?;
        // The kernel keeps a reference on a node that is removed there (`pSeries_reconfig_remove_node()`).
        vm.forget_leaks_below("ofdt_write")
    });
}

/// `drmgr` stops if the kernel does not remove the node of a PHB. The kernel crashes when `drmgr` tries again: it has
/// freed the PHB by then.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn phb_whose_node_stays_in_the_device_tree_is_refused_as_not_detached() {
    let phb = Phb::new(1);
    on_phb(&phb, |vm| {
        vm.start_agent()?;
        vm.obstruct_device_tree()?;
        vm.trigger_pci(&phb, &refusal(phb.connector(), Reason::DETACH_FAILED, EOVERFLOW, OBSTRUCTED))?;
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

/// `drmgr` gives a function back to the firmware although the kernel keeps its node, and fails then.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn function_whose_node_stays_in_the_device_tree_is_released_by_drmgr() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.start_agent()?;
        vm.obstruct_device_tree()?;
        is_released(&vm.remove_pci(&card)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
