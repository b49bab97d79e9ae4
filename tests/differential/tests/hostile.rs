// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guests that make meaningless reports.

use anyhow::Result;
use papr_unplug_differential::{
    answer::Response,
    machine::{Device, OTHERS},
    party::Party as _,
    processors::{Hypercall, Processors},
    program::{Program, Threads},
    rtas,
    step::{Step, indicator},
    vmm::Vmm,
};
use papr_unplug_tests::dice::Dice;
use serde_json::Value;

/// The number of reports.
const CALLS: u32 = 1_000_000;
/// The number of calls sent together.
const BATCH: u32 = 500;
/// The growth of the VMM's memory that is allowed, in KiB: buffers of its monitor.
const MORE_MEMORY: u64 = 4 << 10;

/// PUE-V-090, PUE-V-091
#[test]
fn million_meaningless_reports_leave_the_vmm_as_it_was() -> Result<()> {
    let mut vmm = Vmm::start(&Program::ours()?)?;
    vmm.play(&Step::ARM)?;
    for device in [Device::Core, Device::Dimm3] {
        vmm.play(&Step::Remove(device))?;
    }
    report(&mut vmm, CALLS / 10)?;
    let (before, _) = vmm.footprint()?;
    report(&mut vmm, CALLS)?;
    let (after, output) = vmm.footprint()?;

    assert!(after < before + MORE_MEMORY, "{before} KiB became {after} KiB");
    // Two requests can be refused once each; nothing else writes a line.
    assert!(output.lines().count() <= 2, "{output}");
    assert_eq!(vmm.play(&Step::Sense(9003, Device::Core.first()))?.response, Response::Sensed(0, 1));
    assert!(vmm.events().len() <= 2, "{:?}", vmm.events());
    Ok(())
}

/// PUE-V-010: each CPU refuses a request of its own, again and again.
#[test]
fn reports_of_all_processors_at_the_same_time_are_each_taken_once() -> Result<()> {
    const CALLS: u32 = 20_000;
    let absent = [Device::Core, Device::Core2, Device::Pci, Device::Phb];
    let program = absent.into_iter().fold(Program::ours()?, Program::without).with(&["-smp", "3"]);
    let mut machine = Processors::start(&program, Threads::Multi)?;
    let dimms = [Device::Dimm1, Device::Dimm2, Device::Dimm3];
    let Step::Set(_, _, arm) = Step::ARM else { unreachable!("it is a call") };
    assert_eq!(machine.report(0, arm)?, 0);
    dimms.into_iter().try_for_each(|dimm| machine.remove(dimm))?;
    for (cpu, dimm) in (0..).zip(dimms) {
        let word = 0x8600_0000 | 16 << 16 | (cpu + 1);
        machine.prepare(cpu, CALLS, &[Hypercall::Set(indicator::REPORTS, dimm.first(), word)])?;
    }
    machine.go(3)?;

    // The first status is 0 (recorded), all others are 9000 (known already).
    for cpu in 0..3 {
        assert_eq!(machine.sum(cpu)?, 9000 * u64::from(CALLS - 1));
    }
    // The events may come after the call: a CPU's call is followed up by the main loop.
    dimms.into_iter().try_for_each(|dimm| machine.wait_for("DEVICE_UNPLUG_GUEST_ERROR", dimm))?;
    let events = machine.events()?;
    let mut refused: Vec<_> = events.iter().filter(|event| event.name() == "DEVICE_UNPLUG_GUEST_ERROR").collect();
    refused.sort_by_key(|event| event.device().map(str::to_owned));
    let requests: Vec<_> =
        refused.iter().map(|event| (event.device(), event.data("request").and_then(Value::as_u64))).collect();
    assert_eq!(requests, [(Some("dimm1"), Some(1)), (Some("dimm2"), Some(2)), (Some("dimm3"), Some(3))]);
    Ok(())
}

/// Makes random reports.
fn report(vmm: &mut Vmm, calls: u32) -> Result<()> {
    let mut dice = Dice::of(u64::from(calls));
    let indexes: Vec<u32> = Device::ALL.into_iter().flat_map(Device::connectors).chain(OTHERS).collect();
    for _ in 0..calls / BATCH {
        let questions: Vec<String> = (0..BATCH)
            .flat_map(|_| {
                let index = if dice.one_in(16) { dice.bits() as u32 } else { dice.pick(&indexes) };
                rtas::set_indicator(indicator::REPORTS, index, dice.bits() as u32)
            })
            .collect();
        vmm.qtest()?.ask(&questions.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}
