// SPDX-License-Identifier: MIT OR Apache-2.0

//! Turns of a history: steps, and what the host does with requests and states.

use crate::step::{Step, indicator::REPORTS};
use std::fmt;

/// A turn of a history.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// A guest or the host takes a step.
    Step(Step),
    /// The host withdraws one of the open requests.
    Withdraw(u32),
    /// The host looks at the list of requests.
    List,
    /// The host saves the state.
    Save,
    /// The host loads the state that it saved.
    Load,
    /// The host migrates the machine to a new VMM.
    Migrate,
}

/// A token that stands for the one that the guest has read last.
pub(crate) const LAST_TOKEN: u16 = 12;

/// Returns whether a step reports about a request.
pub(crate) fn is_report(step: &Step) -> bool {
    matches!(step, Step::Set(REPORTS, _, word) if matches!(word >> 29, 3..=5))
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(f),
            Self::Withdraw(_) => f.write_str("withdraw"),
            Self::List => f.write_str("list"),
            Self::Save => f.write_str("save"),
            Self::Load => f.write_str("load"),
            Self::Migrate => f.write_str("migrate"),
        }
    }
}
