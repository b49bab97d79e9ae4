// SPDX-License-Identifier: MIT OR Apache-2.0

//! Hot plug events that the guest has not fetched when their device goes.

use anyhow::Result;
use papr_unplug_differential::{
    device_tree,
    machine::Device::{Core, Dimm2},
    monitor::Reply,
    play::play,
    program::Program,
    step::Step::{self, Add, Remove, TakeEvent},
    vmm::Vmm,
};
use serde_json::json;

const CORE: u32 = Core.first();
const LMB: u32 = Dimm2.first();

/// Hot plug sections: LoPAR's resource type, action, identifier and capability, then the connectors.
const ADD_CORE: &str = "event [01, 01, 02, 00, 10, 00, 00, 01, 00, 00, 00, 00]";
/// An event that asks for nothing.
const VOID: &str = "event [00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00]";
const ADD_DIMM: &str = "event [02, 01, 04, 00, 00, 00, 00, 02, 80, 00, 00, 05]";

fn ours(scene: &[(Step, &str)]) -> Result<Vmm> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    play(&mut vmm, scene)?;
    Ok(vmm)
}

/// PUE-V-074: the event of a removal that the guest completed before it fetched the event. It stays, because Linux
/// crashes if an interrupt finds no event, and asks for nothing.
#[test]
fn event_of_a_removal_does_not_meet_the_next_device() -> Result<()> {
    ours(&[
        (Remove(Core), "accepted"),
        (Remove(Dimm2), "accepted"),
        (Step::Isolate(CORE), "0"),
        (Step::Unusable(CORE), "0, core1 deleted"),
        (Step::Isolate(LMB), "0"),
        (Step::Unusable(LMB), "0"),
        (Step::Isolate(LMB + 1), "0"),
        (Step::Unusable(LMB + 1), "0, dimm2 deleted"),
        (Add(Core), "accepted"),
        (Add(Dimm2), "accepted"),
        (TakeEvent, VOID),
        (TakeEvent, VOID),
        (TakeEvent, ADD_CORE),
        (TakeEvent, ADD_DIMM),
        (TakeEvent, "no event"),
    ])?;
    Ok(())
}

/// PUE-V-074: the event of a device that was added and went before the guest fetched it.
#[test]
fn event_of_an_addition_goes_with_its_device() -> Result<()> {
    let gone = [(Remove(Core), "accepted"), (Step::Isolate(CORE), "0"), (Step::Unusable(CORE), "0, core1 deleted")];
    let again = [(Add(Core), "accepted"), (Remove(Core), "accepted, core1 deleted")];
    let taken = [(TakeEvent, VOID), (TakeEvent, VOID), (TakeEvent, VOID), (TakeEvent, "no event")];
    ours(&[&gone[..], &again, &again, &taken].concat())?;
    Ok(())
}

/// A core's node names its connector where IDs of vCPUs are not those of cores.
#[test]
fn core_has_a_connector_with_any_vsmt() -> Result<()> {
    let program = Program::ours()?.without(Core).with(&["-machine", "vsmt=8", "-smp", "2,threads=2,maxcpus=8"]);
    let tree = Vmm::start(&program)?.device_tree()?;
    let connectors: Vec<u32> = device_tree::cells(&tree, "ibm,my-drc-index").filter(|index| index >> 28 == 1).collect();
    assert_eq!(connectors.len(), 2, "{connectors:x?}");
    assert!(connectors.contains(&0x1000_0008), "{connectors:x?}");
    Ok(())
}

/// PUE-V-013: without the event source, requests do not reach the guest's driver, so that it can promise nothing.
#[test]
fn nothing_is_offered_without_the_event_source() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?.with(&["-machine", "modern-hotplug-events=off"]))?;
    play(&mut vmm, &[(Step::ARM, "-3")])?;
    let Reply::Done(answer) = vmm.execute("query-device-unplug-requests", json!({}))? else { panic!("no answer") };
    assert_eq!(answer["offered"], json!([]));
    Ok(())
}
