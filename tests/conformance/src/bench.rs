// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest on the bench: what a scenario can have it do.

use crate::{contract::Answer, transcript::Transcript};
use anyhow::Result;

/// Device that a scenario asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A CPU core.
    Cpu,
    /// A DIMM of two LMBs.
    Dimm,
    /// A DIMM of one LMB, which the host does not ask for.
    Spare,
}

/// Guest in a VMM that traces what crosses the line between them.
pub trait Bench {
    /// Adds a device, and waits until the guest has it.
    fn plug(&mut self, device: Device) -> Result<()>;

    /// Has the guest keep a device from now on, or no longer.
    fn keep(&mut self, device: Device, kept: bool) -> Result<Answer>;

    /// Asks for a device this number of times, without letting the guest run in between. Returns whether the guest has
    /// promised to answer all of these requests.
    fn ask(&mut self, device: Device, times: u32) -> Result<bool>;

    /// Waits until the guest has ended its attempts at all requests.
    fn settle(&mut self) -> Result<()>;

    /// Has the guest try to give a device back unasked, and waits for the end of that.
    fn give_back(&mut self, device: Device) -> Result<Answer>;

    /// Has the guest stop the software which reports.
    fn stop(&mut self) -> Result<Answer>;

    /// Has the guest start the software which reports.
    fn start(&mut self) -> Result<Answer>;

    /// Resets the machine, and waits until the guest is up again.
    fn reset(&mut self) -> Result<()>;

    /// Ends the guest and returns what was seen.
    fn finish(self) -> Result<Transcript>;
}
