// SPDX-License-Identifier: GPL-2.0-only

//! History of the last refusals.

use super::refusal::{Delivery, Refusal};

/// The number of refusals that are kept.
pub const CAPACITY: usize = 64;

/// The last refusals, as many as there is room for, numbered from 1.
#[derive(Debug)]
pub struct History {
    newest: u64,
    refusals: &'static mut [Refusal],
}

impl History {
    /// Returns a history without room.
    pub const fn new() -> Self {
        Self { newest: 0, refusals: &mut [] }
    }

    /// Returns an empty history.
    pub fn with(refusals: &'static mut [Refusal]) -> Self {
        Self { refusals, ..Self::new() }
    }

    /// Returns the number of the newest refusal, 0 if there is none.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Returns the number of the oldest refusal that is kept.
    pub fn oldest(&self) -> u64 {
        self.newest.saturating_sub(self.refusals.len() as u64).saturating_add(1)
    }

    /// Adds a refusal. Returns its number.
    pub fn add(&mut self, refusal: &Refusal) -> u64 {
        self.newest = self.newest.wrapping_add(1);
        if let Some(slot) = self.slot(self.newest) {
            *slot = *refusal;
        }
        self.newest
    }

    /// Returns refusal `number` if it is kept.
    pub fn get(&self, number: u64) -> Option<&Refusal> {
        let nth = self.is_kept(number).then(|| number.checked_rem(self.refusals.len() as u64));
        self.refusals.get(nth?? as usize)
    }

    /// Stores how refusal `number` was delivered. Does nothing if it is not kept.
    pub fn deliver(&mut self, number: u64, delivery: Delivery) {
        if self.is_kept(number) {
            if let Some(refusal) = self.slot(number) {
                refusal.delivery = delivery;
            }
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Refusal> {
        let nth = number.checked_rem(self.refusals.len() as u64)?;
        self.refusals.get_mut(nth as usize)
    }

    fn is_kept(&self, number: u64) -> bool {
        (self.oldest()..=self.newest).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        logic::cause::Location,
        wire::{drc::DrcIndex, reason::Reason, token::Token},
    };
    use std::{vec, vec::Vec};

    fn history() -> History {
        History::with(Vec::leak(vec![Refusal::EMPTY; CAPACITY]))
    }

    fn nth(n: u32) -> Refusal {
        Refusal {
            connector: Some(DrcIndex(n)),
            lmb: Some(DrcIndex(n)),
            reason: Reason(n as u8),
            errno: -(n as i32),
            location: Location::Address(n.into()),
            token: Token(n as u16),
            ..Refusal::EMPTY
        }
    }

    #[test]
    fn empty_history_has_nothing() {
        let history = history();
        assert_eq!((history.newest(), history.oldest()), (0, 1));
        assert_eq!((history.get(0), history.get(1)), (None, None));
    }

    #[test]
    fn only_the_last_refusals_are_kept() {
        let mut history = history();
        for n in 1..=CAPACITY as u32 + 2 {
            assert_eq!(history.add(&nth(n)), n.into());
        }
        let kept: Vec<_> = (0..=history.newest() + 1).filter_map(|n| history.get(n)).collect();
        assert_eq!(history.oldest(), 3);
        let expected: Vec<_> = (3..=CAPACITY as u32 + 2).map(nth).collect();
        assert!(kept.into_iter().eq(&expected));
    }

    #[test]
    fn delivery_is_stored_for_the_refusal_that_is_meant_and_for_no_other() {
        let mut history = history();
        let gone = history.add(&nth(1));
        history.deliver(gone, Delivery::ByModule);
        let told = Refusal { delivery: Delivery::ByModule, ..nth(1) };
        assert_eq!(history.get(gone), Some(&told));
        for n in 2..=CAPACITY as u32 + 1 {
            history.add(&nth(n));
        }
        history.deliver(gone, Delivery::Reported);
        assert_eq!(history.get(CAPACITY as u64 + 1), Some(&nth(CAPACITY as u32 + 1)));
    }
}
