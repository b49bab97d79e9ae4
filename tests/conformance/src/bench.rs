// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest on the bench: what a scenario can have it do.

use crate::transcript::Transcript;
use anyhow::Result;
use papr_unplug_wire::wire::drc::DrcIndex;
use std::fmt;

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

/// Command to the guest; `spec/conformance.md` says what each one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `keep cpu`
    KeepCpu,
    /// `free cpu`
    FreeCpu,
    /// `keep memory`
    KeepMemory,
    /// `free memory`
    FreeMemory,
    /// `give-back DRC`
    GiveBack(DrcIndex),
    /// `stop`
    Stop,
    /// `start`
    Start,
    /// `ended N`
    Ended(u32),
}

/// Answer of the guest to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The effect is there.
    Done,
    /// The guest cannot do it, for this reason.
    Cannot(String),
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

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepCpu => f.write_str("keep cpu"),
            Self::FreeCpu => f.write_str("free cpu"),
            Self::KeepMemory => f.write_str("keep memory"),
            Self::FreeMemory => f.write_str("free memory"),
            Self::GiveBack(index) => write!(f, "give-back {index}"),
            Self::Stop => f.write_str("stop"),
            Self::Start => f.write_str("start"),
            Self::Ended(number) => write!(f, "ended {number}"),
        }
    }
}

impl Answer {
    /// Reads a line of the guest; returns `None` for one that is no answer.
    pub fn parse(line: &str) -> Option<Self> {
        match line.trim() {
            "ok" => Some(Self::Done),
            other => Some(Self::Cannot(other.strip_prefix("cannot")?.trim_start().to_owned())),
        }
    }

    /// Returns whether the effect is there.
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_what_a_terminal_echoes() {
        assert_eq!(Answer::parse("ok\r"), Some(Answer::Done));
        assert_eq!(Answer::parse("cannot "), Some(Answer::Cannot(String::new())));
        assert_eq!(Answer::parse("cannot stop: nothing runs"), Some(Answer::Cannot("stop: nothing runs".to_owned())));
        assert_eq!(Answer::parse(&Command::KeepCpu.to_string()), None);
        assert_eq!(Command::GiveBack(DrcIndex(0x8000_000A)).to_string(), "give-back 0x8000000a");
    }
}
