// SPDX-License-Identifier: MIT OR Apache-2.0

//! Comparison of two parties that play the same sequence.

use crate::{
    answer::{Answer, Response},
    clause::{Clause, Past},
    party::Party,
    step::Step,
};
use anyhow::Result;
use std::fmt;

/// The first difference between two parties.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The steps before it, with the answer that both gave.
    pub before: Vec<(Step, Answer)>,
    /// The step with different answers.
    pub step: Step,
    /// The first party's answer.
    pub first: Answer,
    /// The second party's answer.
    pub second: Answer,
    /// The requirement that explains the difference; `None` if it is a bug of one party.
    pub clause: Option<Clause>,
}

/// Plays a sequence to both parties and returns the first difference.
///
/// Stops there: the parties are in different states, and later answers cannot be compared.
pub fn compare(steps: &[Step], first: &mut dyn Party, second: &mut dyn Party) -> Result<Option<Difference>> {
    first.renew()?;
    second.renew()?;
    let mut before = Vec::new();
    let mut past = Past::default();
    for step in steps {
        let (mut a, mut b) = (first.play(step)?, second.play(step)?);
        // The order of deletions is not specified: at a reset, stock QEMU's is that of a hash table.
        [&mut a, &mut b].into_iter().for_each(|answer| answer.events.sort_by_key(|event| event.device));
        if a != b {
            let clause = Clause::of(&past, step, &a, &b);
            return Ok(Some(Difference { before, step: *step, first: a, second: b, clause }));
        }
        past.note(step, &a);
        let ended = matches!(a.response, Response::Ended(_));
        before.push((*step, a));
        if ended {
            break;
        }
    }
    Ok(None)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, answer) in &self.before {
            writeln!(f, "  {step}: {answer}")?;
        }
        writeln!(f, "  {}:", self.step)?;
        writeln!(f, "    the first: {}", self.first)?;
        write!(f, "    the second: {}", self.second)
    }
}
