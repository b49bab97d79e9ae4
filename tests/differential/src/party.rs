// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who answers steps.

use crate::{answer::Answer, step::Step};
use anyhow::Result;

/// A VMM, or something that ought to behave like one.
pub trait Party {
    /// Puts the machine back to how every sequence begins: all devices plugged and the guest's, nothing asked for.
    fn renew(&mut self) -> Result<()>;

    /// Takes one step. An error is one of the harness; what the VMM does wrong is an answer.
    fn play(&mut self, step: &Step) -> Result<Answer>;
}
