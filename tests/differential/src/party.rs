// SPDX-License-Identifier: MIT OR Apache-2.0

//! A machine that takes steps, as the comparison sees it.

use crate::{answer::Answer, step::Step};
use anyhow::Result;

/// A VMM, or something that ought to behave like one.
pub trait Party {
    /// Restores the state in which every sequence begins: all devices plugged and configured, no request open.
    fn renew(&mut self) -> Result<()>;

    /// Takes one step. An error is a failure of the harness; the VMM's own failures are answers.
    fn play(&mut self, step: &Step) -> Result<Answer>;
}
