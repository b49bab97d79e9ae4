// SPDX-License-Identifier: MIT OR Apache-2.0

//! Unplug requests as a QMP client sees them: numbers, what ends them, withdrawal, and bounds.

use anyhow::{Context as _, Result, ensure};
use papr_unplug_differential::{
    answer::Response,
    machine::Device::{self, Core, Core2, Function0, Function1},
    monitor::Reply,
    party::Party as _,
    program::Program,
    step::Step,
    vmm::Vmm,
};
use papr_unplug_qmp::message::Event;
use serde_json::{Value, json};

const CORE: u32 = Core.first();

fn remove(vmm: &mut Vmm, device: Device) -> Result<Value> {
    vmm.done("device_del", json!({ "id": device.id() }))
}

fn give_back(vmm: &mut Vmm, index: u32) -> Result<Vec<Event>> {
    vmm.play(&Step::Isolate(index))?;
    vmm.play(&Step::Unusable(index))?;
    Ok(vmm.events().to_vec())
}

fn data(events: &[Event], name: &str, member: &str) -> Result<Value> {
    // A core's CPUs are deleted too; they have no ID.
    let mut named = events.iter().filter(|event| event.name() == name && event.device().is_some());
    let event = named.next().with_context(|| format!("no {name} in {events:?}"))?;
    Ok(event.data(member).cloned().unwrap_or_default())
}

/// PUE-V-103, PUE-V-105: the number is told by device_del, and told again by what ends the request.
#[test]
fn requests_are_numbered_and_a_deletion_names_those_it_ends() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    assert_eq!(remove(&mut vmm, Core)?, json!({ "request": 1 }));
    assert_eq!(remove(&mut vmm, Core)?, json!({ "request": 2 }));
    let events = give_back(&mut vmm, CORE)?;
    assert_eq!(data(&events, "DEVICE_DELETED", "requests")?, json!([1, 2]));
    assert_eq!(data(&events, "DEVICE_DELETED", "cause")?, json!("guest"));

    assert_eq!(remove(&mut vmm, Core2)?, json!({ "request": 3 }));
    vmm.play(&Step::Reset)?;
    let events = vmm.events().to_vec();
    assert_eq!(data(&events, "DEVICE_DELETED", "requests")?, json!([3]));
    assert_eq!(data(&events, "DEVICE_DELETED", "cause")?, json!("reset"));
    Ok(())
}

/// PUE-V-055, PUE-V-056
#[test]
fn function_1_is_withheld_until_function_0_is_asked_for() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    assert_eq!(remove(&mut vmm, Function1)?, json!({ "request": 1, "withheld": true }));
    assert_eq!(vmm.play(&Step::TakeEvent)?.to_string(), "no event");
    let withheld = |answer: &Value| {
        let requests = answer["requests"].as_array().cloned().unwrap_or_default();
        requests.iter().map(|request| request["withheld"].clone()).collect::<Vec<_>>()
    };
    let answer = vmm.done("query-device-unplug-requests", json!({}))?;
    assert_eq!(withheld(&answer), [json!(true)]);
    assert_eq!(remove(&mut vmm, Function0)?, json!({ "request": 2 }));
    let answer = vmm.done("query-device-unplug-requests", json!({}))?;
    assert_eq!(withheld(&answer), [json!(false), json!(false)]);
    Ok(())
}

/// PUE-V-025, PUE-V-056, PUE-V-058
#[test]
fn function_1_is_announced_once_for_each_request_that_was_withheld_and_promised() -> Result<()> {
    const BEGINNING: [u8; 12] = [5, 2, 2, 0x80, 0x40, 0, 0, 0x21, 0, 0, 0, 0];
    let mut vmm = Vmm::start(&Program::ours()?)?;
    vmm.play(&Step::ARM)?;
    remove(&mut vmm, Function1)?;
    remove(&mut vmm, Function1)?;
    assert_eq!(remove(&mut vmm, Function0)?, json!({ "request": 3 }));
    let mut tokens = Vec::new();
    while let Response::Event(section) = vmm.play(&Step::TakeEvent)?.response {
        let (beginning, token) = section.split_at(BEGINNING.len());
        ensure!(tokens.len() == 2 || beginning == BEGINNING, "{section:x?}");
        tokens.push(u16::from(token[3]));
    }
    assert_eq!(tokens, [1, 2, 3]);
    let answer = vmm.done("query-device-unplug-requests", json!({}))?;
    let requests = answer["requests"].as_array().cloned().unwrap_or_default();
    assert!(requests.len() == 3 && requests.iter().all(|request| request["promised"] == true), "{requests:?}");
    for (token, request) in [(2, 2), (1, 1)] {
        vmm.play(&Step::refused(Function1.first(), 28, 255, token))?;
        let events = vmm.events().to_vec();
        assert_eq!(data(&events, "DEVICE_UNPLUG_GUEST_ERROR", "request")?, json!(request));
        assert_eq!(data(&events, "DEVICE_UNPLUG_GUEST_ERROR", "reason")?, json!("agent-failed"));
        assert_eq!(data(&events, "DEVICE_UNPLUG_GUEST_ERROR", "errno")?, json!(255));
    }
    Ok(())
}

/// PUE-V-057, PUE-V-061, PUE-V-075
#[test]
fn withdrawn_request_ends_and_a_late_release_is_honoured() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    remove(&mut vmm, Core)?;
    vmm.done("device-unplug-withdraw", json!({ "request": 1 }))?;
    let answer = vmm.play(&Step::TakeEvent)?.to_string();
    assert_eq!(answer, "event [00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00]");
    let events = vmm.events().to_vec();
    assert_eq!(data(&events, "DEVICE_UNPLUG_REQUEST_ENDED", "request")?, json!(1));
    assert_eq!(data(&events, "DEVICE_UNPLUG_REQUEST_ENDED", "outcome")?, json!("withdrawn"));
    let again = vmm.execute("device-unplug-withdraw", json!({ "request": 1 }))?;
    ensure!(matches!(again, Reply::Refused(_)), "{again:?}");

    let events = give_back(&mut vmm, CORE)?;
    assert_eq!(data(&events, "DEVICE_DELETED", "requests")?, json!([]));
    Ok(())
}

/// PUE-V-052: one device whose guest is silent does not stop the others.
#[test]
fn silent_device_asked_for_10000_times_leaves_room_for_others() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    let mut accepted = 0;
    for _ in 0..10_000 {
        accepted += u32::from(matches!(vmm.execute("device_del", json!({ "id": "core1" }))?, Reply::Done(_)));
    }
    assert_eq!(accepted, 64);
    remove(&mut vmm, Core2)?;
    let events = give_back(&mut vmm, Core2.first())?;
    assert_eq!(data(&events, "DEVICE_DELETED", "device")?, json!("core2"));
    Ok(())
}
