// SPDX-License-Identifier: GPL-2.0-only

//! First-in, first-out queue in room of a fixed size.

/// A queue of at most as many items as it has slots.
///
/// # Invariants
///
/// `length` is not larger than the number of slots, and `first` is smaller or 0.
#[derive(Debug)]
pub struct Ring<T: 'static> {
    first: usize,
    length: usize,
    slots: &'static mut [T],
}

impl<T: Copy> Ring<T> {
    /// Returns a queue without slots.
    pub const fn new() -> Self {
        Self { first: 0, length: 0, slots: &mut [] }
    }

    /// Returns an empty queue with these slots.
    pub fn with(slots: &'static mut [T]) -> Self {
        Self { slots, ..Self::new() }
    }

    /// Returns whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds an item at the end. Returns `false` if there is no room.
    pub fn push(&mut self, item: T) -> bool {
        if self.length == self.slots.len() {
            return false;
        }
        let slot = self.slot(self.length);
        self.slots[slot] = item;
        self.length = self.length.wrapping_add(1);
        true
    }

    /// Removes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let item = *self.get(0)?;
        self.first = self.slot(1);
        self.length = self.length.wrapping_sub(1);
        Some(item)
    }

    /// Removes item `nth`, counted from the oldest. Those after it move up.
    pub fn remove(&mut self, nth: usize) -> Option<T> {
        let item = *self.get(nth)?;
        for next in nth.wrapping_add(1)..self.length {
            let (from, to) = (self.slot(next), self.slot(next.wrapping_sub(1)));
            self.slots[to] = self.slots[from];
        }
        self.length = self.length.wrapping_sub(1);
        Some(item)
    }

    /// Returns item `nth`, counted from the oldest.
    pub fn get(&self, nth: usize) -> Option<&T> {
        (nth < self.length).then(|| &self.slots[self.slot(nth)])
    }

    /// Returns the oldest item, to be changed.
    pub fn first_mut(&mut self) -> Option<&mut T> {
        (self.length != 0).then(|| &mut self.slots[self.first])
    }

    /// Changes every item.
    pub fn change_all(&mut self, change: impl Fn(&mut T)) {
        for nth in 0..self.length {
            let slot = self.slot(nth);
            change(&mut self.slots[slot]);
        }
    }

    /// Returns the items, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        (0..self.length).map(|nth| &self.slots[self.slot(nth)])
    }

    fn slot(&self, nth: usize) -> usize {
        self.first.wrapping_add(nth).checked_rem(self.slots.len()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn ring(slots: usize) -> Ring<u32> {
        Ring::with(Vec::leak(vec![0; slots]))
    }

    #[test]
    fn items_come_out_in_order_however_often_the_ring_wraps() {
        let mut ring = ring(3);
        for n in 0..10 {
            assert!(ring.push(n) && ring.push(n + 100));
            assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [n, n + 100]);
            assert_eq!((ring.get(1), ring.get(2)), (Some(&(n + 100)), None));
            assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Some(n), Some(n + 100), None]);
        }
    }

    #[test]
    fn item_is_removed_from_the_middle_and_the_others_keep_their_order() {
        let mut ring = ring(4);
        for wrap in 0..5 {
            assert!((0..4).all(|n| ring.push(n)));
            assert_eq!([ring.remove(1), ring.remove(4), ring.remove(2)], [Some(1), None, Some(3)]);
            assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Some(0), Some(2), None]);
            assert!(ring.push(wrap) && ring.pop() == Some(wrap));
        }
    }

    #[test]
    fn full_ring_says_so_and_keeps_what_it_has() {
        let mut ring = ring(2);
        assert_eq!([1, 2, 3].map(|n| ring.push(n)), [true, true, false]);
        *ring.first_mut().unwrap() = 7;
        assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Some(7), Some(2), None]);
        assert!(ring.is_empty() && ring.first_mut().is_none());
    }

    #[test]
    fn ring_without_slots_has_no_room() {
        let mut ring: Ring<u32> = Ring::new();
        assert!(!ring.push(1));
        assert_eq!((ring.pop(), ring.remove(0), ring.get(0)), (None, None, None));
        assert_eq!(ring.iter().len(), 0);
    }
}
