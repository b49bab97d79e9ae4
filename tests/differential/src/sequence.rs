// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random sequences of steps, partly in an order that a guest would use.

use crate::{
    machine::{Device, OTHERS},
    step::{Step, indicator},
};
use papr_unplug_tests::dice::Dice;

/// The largest number of steps in a sequence.
pub const LONGEST: u32 = 24;

/// Devices that are replaced quickly; the others come up less often.
const QUICK: [Device; 5] = [Device::Core, Device::Core2, Device::Dimm1, Device::Dimm2, Device::Dimm3];

/// Returns the sequence of a seed.
pub fn of_seed(seed: u64) -> Vec<Step> {
    let mut dice = Dice::of(seed);
    let length = (4 + dice.below(LONGEST - 3)) as usize;
    let mut steps = Vec::with_capacity(length);
    // Most steps are about one device, so that they meet.
    let favourite = if dice.one_in(8) { dice.pick(&Device::ALL) } else { dice.pick(&QUICK) };
    while steps.len() < length {
        let device = if dice.one_in(3) { dice.pick(&QUICK) } else { favourite };
        match dice.below(16) {
            0..=3 => steps.push(Step::Remove(device)),
            4..=5 => give_back(&mut steps, &mut dice, device),
            6 => take(&mut steps, &mut dice, device),
            7..=8 => steps.push(Step::Unisolate(connector(&mut dice, device))),
            9 => steps.push(Step::Configure(connector(&mut dice, device), if dice.one_in(3) { 1 } else { u32::MAX })),
            10 => steps.push(Step::Sense(9003, anywhere(&mut dice, device))),
            11 => steps.push(Step::Add(device)),
            12 => steps.push(Step::TakeEvent),
            13 if dice.one_in(8) => steps.push(Step::Reset),
            _ => steps.push(any_call(&mut dice, device)),
        }
    }
    steps.truncate(length);
    steps
}

/// Returns the sequence of a seed with reports in it: right ones, wrong ones, and ones without a request.
pub fn of_reporting_seed(seed: u64) -> Vec<Step> {
    let mut dice = Dice::of(!seed);
    let mut steps = vec![Step::ARM];
    // Some of the histories are about PCI functions and PHBs, which take longer to replace.
    let devices = if dice.one_in(4) { &Device::ALL[..] } else { &QUICK };
    for step in of_seed(seed) {
        let device = step.device().unwrap_or(dice.pick(devices));
        steps.push(step);
        if dice.one_in(2) {
            steps.push(any_report(&mut dice, device));
        }
    }
    steps
}

fn any_report(dice: &mut Dice, device: Device) -> Step {
    let index = if dice.one_in(8) { anywhere(dice, device) } else { connector(dice, device) };
    // Few requests are open at a time, and their tokens are consecutive.
    let token = if dice.one_in(3) { 0 } else { dice.below(64) as u16 };
    match dice.below(8) {
        0 => Step::Set(indicator::REPORTS, 0, 0x2000_0000 | dice.below(4) << 16 | dice.below(0x40)),
        1 => Step::DISARM,
        2 => Step::started(index, token),
        3..=4 => Step::refused(index, dice.below(32) as u8, dice.below(256) as u8, token),
        5 => Step::done(index, token),
        6 => Step::ARM,
        _ => Step::Set(indicator::REPORTS, index, dice.bits() as u32),
    }
}

/// Appends the steps by which a guest gives a device back, wholly or in part.
fn give_back(steps: &mut Vec<Step>, dice: &mut Dice, device: Device) {
    let some = if dice.one_in(3) { 1 + dice.below(device.count()) } else { device.count() };
    for index in device.connectors().take(some as usize) {
        steps.push(Step::Isolate(index));
        steps.push(Step::Unusable(index));
    }
}

/// Appends the steps by which a guest takes a connector of a device.
fn take(steps: &mut Vec<Step>, dice: &mut Dice, device: Device) {
    let index = connector(dice, device);
    steps.push(Step::Usable(index));
    steps.push(Step::Unisolate(index));
    steps.push(Step::Configure(index, u32::MAX));
}

fn any_call(dice: &mut Dice, device: Device) -> Step {
    let index = anywhere(dice, device);
    if dice.one_in(8) {
        return Step::Sense(dice.pick(&[9001, 9003, 9003, 9004, 0]), index);
    }
    let indicator = dice.pick(&[
        indicator::ISOLATION,
        indicator::ISOLATION,
        indicator::LIGHT,
        indicator::ALLOCATION,
        9004,
        9100,
        1,
    ]);
    let value = if dice.one_in(8) { dice.bits() as u32 } else { dice.below(5) };
    Step::Set(indicator, index, value)
}

fn connector(dice: &mut Dice, device: Device) -> u32 {
    device.first() + dice.below(device.count())
}

fn anywhere(dice: &mut Dice, device: Device) -> u32 {
    if dice.one_in(4) { dice.pick(&OTHERS) } else { connector(dice, device) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn same_seed_is_the_same_sequence() {
        assert_eq!(of_seed(42), of_seed(42));
        assert!((0..1000).all(|seed| (4..=LONGEST as usize).contains(&of_seed(seed).len())));
    }

    #[test]
    fn every_kind_of_step_and_every_device_comes_up() {
        let steps: Vec<Step> = (0..2000).flat_map(of_seed).collect();
        let kinds: BTreeSet<String> =
            steps.iter().map(|step| step.to_string().split(' ').next().unwrap_or_default().to_owned()).collect();
        let expected = [
            "configure",
            "device_add",
            "device_del",
            "get-sensor-state",
            "isolate",
            "reset",
            "set-indicator",
            "take",
            "unisolate",
            "unusable",
            "usable",
        ];
        assert_eq!(kinds, expected.map(str::to_owned).into());
        assert!(Device::ALL.into_iter().all(|device| steps.contains(&Step::Remove(device))));
        assert!(Device::ALL.into_iter().flat_map(Device::connectors).all(|c| steps.contains(&Step::Unisolate(c))));
    }
}
