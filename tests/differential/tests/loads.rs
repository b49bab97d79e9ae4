// SPDX-License-Identifier: MIT OR Apache-2.0

//! States that are loaded: snapshots into the VM that made them, and forged streams.

use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_differential::{
    machine::Device::{self, Core},
    party::Party as _,
    program::Program,
    step::Step,
    vmm::Vmm,
};
use papr_unplug_tests::deadline::Deadline;
use serde_json::json;
use std::fs;

const CORE: u32 = Core.first();

/// Starts a machine without PCI devices.
fn machine() -> Result<Vmm> {
    let absent = Device::ALL.into_iter().filter(|device| device.is_pci());
    Vmm::start(&absent.fold(Program::ours()?, Program::without))
}

fn open(vmm: &mut Vmm) -> Result<Vec<u64>> {
    let answer = vmm.done("query-device-unplug-requests", json!({}))?;
    let requests = answer["requests"].as_array().context("no list")?;
    Ok(requests.iter().filter_map(|request| request["request"].as_u64()).collect())
}

/// PUE-V-087: a load replaces what was, and deletes nothing.
#[test]
fn load_with_a_removal_pending_deletes_nothing() -> Result<()> {
    let mut vmm = machine()?;
    vmm.save_snapshot()?;
    assert_eq!(vmm.play(&Step::Remove(Core))?.to_string(), "accepted");
    vmm.load_snapshot()?;
    let ended: Vec<_> = vmm.events().iter().filter(|e| e.name() == "DEVICE_UNPLUG_REQUEST_ENDED").collect();
    let [ended] = ended[..] else { bail!("{:?}", vmm.events()) };
    assert_eq!((ended.data("request"), ended.data("outcome")), (Some(&json!(1)), Some(&json!("load"))));
    assert_eq!(open(&mut vmm)?, [0_u64; 0]);
    assert_eq!(vmm.play(&Step::Sense(9003, CORE))?.to_string(), "0, state 1");
    // The core is there, and can be asked for.
    assert_eq!(vmm.done("device_del", json!({ "id": "core1" }))?, json!({ "request": 2 }));
    Ok(())
}

/// PUE-V-080, PUE-V-087: a state with an open request goes into the machine that made it.
#[test]
fn state_with_an_open_request_is_loaded_and_answered() -> Result<()> {
    let mut vmm = machine()?;
    assert_eq!(vmm.play(&Step::Remove(Core))?.to_string(), "accepted");
    vmm.save_snapshot()?;
    vmm.load_snapshot()?;
    assert_eq!(open(&mut vmm)?, [1]);
    assert_eq!(vmm.play(&Step::Isolate(CORE))?.to_string(), "0");
    assert_eq!(vmm.play(&Step::Unusable(CORE))?.to_string(), "0, core1 deleted");
    Ok(())
}

/// PUE-V-087: the event of a request that the load gave a new number goes with that request.
#[test]
fn request_that_got_a_new_number_takes_its_event_along() -> Result<()> {
    let mut vmm = machine()?;
    assert_eq!(vmm.play(&Step::Remove(Core))?.to_string(), "accepted");
    vmm.save_snapshot()?;
    vmm.done("device-unplug-withdraw", json!({ "request": 1 }))?;
    vmm.load_snapshot()?;
    assert_eq!(open(&mut vmm)?, [2]);
    vmm.done("device-unplug-withdraw", json!({ "request": 2 }))?;
    let event = vmm.play(&Step::TakeEvent)?.to_string();
    assert!(event.starts_with("event [00, 00, 00, 00"), "{event}");
    Ok(())
}

/// PUE-V-088: a size in a stream is checked before memory is taken for it.
#[test]
fn size_in_a_stream_is_checked_before_memory_is_taken() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let stream = dir.path().join("stream");
    let uri = format!("file:{}", stream.display());
    let absent = Device::ALL.into_iter().filter(|device| device.is_pci());
    let program = absent.fold(Program::ours()?, Program::without);
    let mut source = Vmm::start(&program)?;
    assert_eq!(source.play(&Step::Remove(Core))?.to_string(), "accepted");
    source.done("migrate", json!({ "uri": uri }))?;
    wait_for_migration(&mut source, "completed")?;

    let mut bytes = fs::read(&stream)?;
    let name = b"spapr_unplug";
    let at = bytes.windows(name.len()).position(|found| found == name).context("no state in the stream")?;
    // After the name, the version and then the size, 32 bits each, big endian.
    let size = at + name.len() + 4;
    for forged in [0xFFFF_FFFF_u32, 0x4000_0000] {
        bytes[size..size + 4].copy_from_slice(&forged.to_be_bytes());
        fs::write(&stream, &bytes)?;
        let mut vmm = Vmm::start(&program.clone().with(&["-incoming", "defer"]))?;
        let (before, _) = vmm.footprint()?;
        vmm.done("migrate-incoming", json!({ "uri": uri, "exit-on-error": false }))?;
        wait_for_migration(&mut vmm, "failed")?;
        let (after, _) = vmm.footprint()?;
        assert!(after < before + (256 << 10), "{before} KiB became {after} KiB");
        assert_eq!(open(&mut vmm)?, [0_u64; 0]);
    }
    Ok(())
}

fn wait_for_migration(vmm: &mut Vmm, expected: &str) -> Result<()> {
    let deadline = Deadline::start();
    loop {
        let state = vmm.done("query-migrate", json!({}))?;
        match state["status"].as_str() {
            Some(status) if status == expected => return Ok(()),
            Some("completed" | "failed") => bail!("the migration has ended as {state}"),
            _ => ensure!(!deadline.left().is_zero(), "{state}"),
        }
        std::thread::yield_now();
    }
}
