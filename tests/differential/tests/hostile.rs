// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest that does nothing but reporting, and means nothing by it.

use anyhow::Result;
use papr_unplug_differential::{
    answer::Said,
    machine::{Device, OTHERS},
    party::Party as _,
    processors::Processors,
    program::Program,
    rtas,
    step::{Step, indicator},
    vmm::Vmm,
};
use papr_unplug_tests::dice::Dice;
use serde_json::Value;

/// How often it does.
const CALLS: u32 = 1_000_000;
/// How many calls go out at a time.
const BATCH: u32 = 500;
/// What a VMM may come to occupy more meanwhile, in KiB: buffers of its monitor.
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
    // Two requests can be refused once each, and nothing else is worth a line.
    assert!(output.lines().count() <= 2, "{output}");
    assert_eq!(vmm.play(&Step::Sense(9003, Device::Core.first()))?.said, Said::Sensed(0, 1));
    assert!(vmm.heard().len() <= 2, "{:?}", vmm.heard());
    Ok(())
}

/// PUE-V-010: each processor refuses a request of its own, and goes on saying so.
#[test]
fn reports_of_all_processors_at_the_same_time_are_each_taken_once() -> Result<()> {
    const CALLS: u32 = 20_000;
    let mut machine = Processors::start(&Program::ours()?, CALLS)?;
    let dimms = [Device::Dimm1, Device::Dimm2, Device::Dimm3];
    let Step::Set(_, _, arm) = Step::ARM else { unreachable!("it is a call") };
    assert_eq!(machine.report(0, arm)?, 0);
    dimms.into_iter().try_for_each(|dimm| machine.remove(dimm))?;
    let mut token = 0;
    let reports = dimms.map(|dimm| {
        token += 1;
        (dimm.first(), 0x8600_0000 | 16 << 16 | token)
    });
    let (sums, events) = machine.run(reports)?;

    // The first is 0, recorded; all others are 9000, known already.
    assert_eq!(sums, [9000 * u64::from(CALLS - 1); 3]);
    let mut refused: Vec<_> = events.iter().filter(|event| event.name() == "DEVICE_UNPLUG_GUEST_ERROR").collect();
    refused.sort_by_key(|event| event.device().map(str::to_owned));
    let told: Vec<_> =
        refused.iter().map(|event| (event.device(), event.data("request").and_then(Value::as_u64))).collect();
    assert_eq!(told, [(Some("dimm1"), Some(1)), (Some("dimm2"), Some(2)), (Some("dimm3"), Some(3))]);
    Ok(())
}

/// Calls so often, with any word and any index.
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
