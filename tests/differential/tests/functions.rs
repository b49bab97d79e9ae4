// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removal of a PCI device with several functions.

use anyhow::{Result, ensure};
use papr_unplug_differential::{
    answer::Response,
    machine::Device::{Core, Function0, Function1},
    monitor::Reply,
    party::Party as _,
    program::Program,
    step::{Step, indicator},
    vmm::Vmm,
};
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::deadline::Deadline;
use serde_json::json;

/// The connectors of the two functions.
const FUNCTIONS: [u32; 2] = [Function0.first(), Function1.first()];

/// Removes both functions and returns what guest and host saw, in words that are the same for every VMM.
fn removal_of_both(program: Program) -> Result<Vec<String>> {
    let mut vmm = Vmm::start(&program)?;
    let mut seen = Vec::new();
    for id in ["function1", "function0"] {
        let reply = vmm.execute("device_del", json!({ "id": id }))?;
        ensure!(matches!(reply, Reply::Done(_)), "device_del {id}: {reply:?}");
        seen.push(format!("device_del {id}"));
        while let Response::Event(section) = vmm.play(&Step::TakeEvent)?.response {
            seen.push(format!("event {section:02x?}"));
        }
    }
    for index in FUNCTIONS.into_iter().rev() {
        let status = vmm.qtest()?.set_indicator(indicator::ISOLATION, index, 0)?;
        seen.push(format!("isolate {index:#x}: {status}"));
    }
    // DEVICE_DELETED of a device that does DMA comes after a grace period of RCU.
    let mut deleted = Vec::new();
    let deadline = Deadline::start();
    while deleted.len() < FUNCTIONS.len() {
        ensure!(!deadline.left().is_zero(), "after {seen:?}, only {deleted:?} are deleted");
        vmm.play(&Step::Sense(9003, Core.first()))?;
        let name = |event: &Event| (event.name() == "DEVICE_DELETED").then(|| event.device().map(str::to_owned));
        deleted.extend(vmm.events().iter().filter_map(name).flatten());
    }
    seen.extend(deleted.into_iter().map(|id| format!("{id} is deleted")));
    Ok(seen)
}

#[test]
fn ours_functions_are_asked_for_with_function_0_and_go_as_on_stock() -> Result<()> {
    let ours = removal_of_both(Program::ours()?)?;
    assert_eq!(ours, removal_of_both(Program::stock()?)?);
    assert_eq!(ours.iter().filter(|line| line.starts_with("event")).count(), 2, "{ours:?}");
    Ok(())
}
