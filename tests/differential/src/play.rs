// SPDX-License-Identifier: MIT OR Apache-2.0

//! A scene: steps, each with the answer that is expected of it.

use crate::{party::Party, step::Step};
use anyhow::{Result, ensure};

/// Takes the steps, and compares what each came to with what stands beside it. Words for people may be left out there, and
/// nothing that the host was told.
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
