// SPDX-License-Identifier: MIT OR Apache-2.0

//! Scenes: steps, each with its expected answer.

use crate::{party::Party, step::Step};
use anyhow::{Result, ensure};

/// Renews the party, takes the steps, and compares each answer with the expected one.
///
/// The expected answer may leave out a message for people, but no event.
pub fn play(party: &mut dyn Party, scene: &[(Step, &str)]) -> Result<()> {
    party.renew()?;
    for (number, (step, expected)) in scene.iter().enumerate() {
        let answer = party.play(step)?.to_string();
        let more = answer.strip_prefix(expected);
        ensure!(
            more.is_some_and(|more| !more.starts_with(", ")),
            "step {}, {step}, came to `{answer}`, not `{expected}`",
            number + 1
        );
    }
    Ok(())
}
