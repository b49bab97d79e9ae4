// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scenarios: what is asked of a guest.

use crate::bench::{Bench, Device};
use anyhow::Result;

/// Plays all that a guest can be judged by to one that is offered to report. The guest has just booted.
pub fn with_offer(bench: &mut impl Bench) -> Result<()> {
    for device in [Device::Cpu, Device::Dimm, Device::Spare] {
        bench.plug(device)?;
    }
    for device in [Device::Cpu, Device::Dimm] {
        // What the guest does not promise may end together with a request that is older.
        if refused(bench, device, 1)? {
            refused(bench, device, 2)?;
        }
    }
    if bench.keep(Device::Spare, true)?.is_done() {
        bench.give_back(Device::Spare)?;
        bench.keep(Device::Spare, false)?;
    }
    bench.give_back(Device::Spare)?;

    if bench.stop()?.is_done() {
        refused(bench, Device::Cpu, 1)?;
        bench.start()?;
        refused(bench, Device::Cpu, 1)?;
    }
    released(bench, Device::Dimm)?;

    bench.reset()?;
    refused(bench, Device::Cpu, 1)?;
    released(bench, Device::Cpu)
}

/// Asks a guest that is not offered to report. The guest has just booted.
pub fn without_offer(bench: &mut impl Bench) -> Result<()> {
    for device in [Device::Cpu, Device::Dimm] {
        bench.plug(device)?;
        refused(bench, device, 1)?;
    }
    Ok(())
}

/// Asks this number of times for a device that the guest keeps. Returns whether the guest has promised to answer.
fn refused(bench: &mut impl Bench, device: Device, times: u32) -> Result<bool> {
    if !bench.keep(device, true)?.is_done() {
        return Ok(false);
    }
    let is_promised = bench.ask(device, times)?;
    bench.settle()?;
    bench.keep(device, false)?;
    Ok(is_promised)
}

/// Asks for a device that the guest can give back.
fn released(bench: &mut impl Bench, device: Device) -> Result<()> {
    bench.ask(device, 1)?;
    bench.settle()
}
