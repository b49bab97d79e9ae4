// SPDX-License-Identifier: MIT OR Apache-2.0

//! Contract with a guest that is judged: commands and answers, a line each.

use papr_unplug_wire::wire::drc::DrcIndex;
use std::fmt;

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
