// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest that does nothing but reporting, and means nothing by it.

use anyhow::Result;
use papr_unplug_differential::{
    answer::Said,
    machine::{Device, OTHERS},
    party::Party as _,
    program::Program,
    rtas,
    step::{Step, indicator},
    vmm::Vmm,
};
use papr_unplug_tests::dice::Dice;

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
