// SPDX-License-Identifier: MIT OR Apache-2.0

//! One sequence, played to two parties.

use crate::{
    answer::{Answer, Said},
    clause::{Clause, Past},
    party::Party,
    step::Step,
};
use anyhow::Result;
use std::fmt;

/// Where two parties parted.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The steps up to that, and how both answered those before the last.
    pub before: Vec<(Step, Answer)>,
    /// The step they answered differently.
    pub step: Step,
    /// How the first answered it.
    pub first: Answer,
    /// How the second answered it.
    pub second: Answer,
    /// Why that is as it should be; `None` if it is a bug of one of them.
    pub clause: Option<Clause>,
}

/// Plays a sequence to both, up to the first difference. From there on they are in different states, and nothing that they
/// answer could be compared.
pub fn compare(steps: &[Step], first: &mut dyn Party, second: &mut dyn Party) -> Result<Option<Difference>> {
    first.renew()?;
    second.renew()?;
    let mut before = Vec::new();
    let mut past = Past::default();
    for step in steps {
        let (mut a, mut b) = (first.play(step)?, second.play(step)?);
        if *step == Step::Reset {
            // Which device goes first is anybody's choice; stock QEMU takes them in the order of a hash.
            [&mut a, &mut b].into_iter().for_each(|answer| answer.told.sort_by_key(|told| told.device));
        }
        if a != b {
            let clause = Clause::of(&past, step, &a, &b);
            return Ok(Some(Difference { before, step: *step, first: a, second: b, clause }));
        }
        past.note(step, &a);
        let ended = matches!(a.said, Said::Ended(_));
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
