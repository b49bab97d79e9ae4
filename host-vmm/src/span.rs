// SPDX-License-Identifier: MIT OR Apache-2.0

//! Span of connectors with consecutive DRC indexes.

use crate::wire::drc::DrcIndex;
use core::fmt;

/// One or more connectors with consecutive DRC indexes. A CPU core has one connector, a DIMM one for each LMB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: DrcIndex,
    /// Invariant: at least 1, and `first + count - 1` is a `u32`.
    count: u32,
}

impl Span {
    /// Returns the `count` connectors from `first` on; `None` if `count` is 0 or an index does not fit 32 bits.
    pub fn new(first: DrcIndex, count: u32) -> Option<Self> {
        first.0.checked_add(count.checked_sub(1)?)?;
        Some(Self { first, count })
    }

    /// Returns the lowest index.
    pub fn first(self) -> DrcIndex {
        self.first
    }

    /// Returns the number of connectors.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Returns whether the connector is in the span.
    pub fn contains(self, index: DrcIndex) -> bool {
        index.0.checked_sub(self.first.0).is_some_and(|offset| offset < self.count)
    }

    /// Returns all indexes, in ascending order.
    pub fn indexes(self) -> impl DoubleEndedIterator<Item = DrcIndex> + Clone {
        (0..self.count).map(move |offset| DrcIndex(self.first.0.wrapping_add(offset)))
    }
}

impl From<DrcIndex> for Span {
    /// Returns the span of a single connector.
    fn from(first: DrcIndex) -> Self {
        Self { first, count: 1 }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.indexes().next_back() {
            Some(last) if last != self.first => write!(f, "{} to {last}", self.first),
            _ => write!(f, "{}", self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::ToString as _, vec::Vec};

    #[test]
    fn span_that_is_empty_or_leaves_the_index_space_is_none() {
        assert_eq!(Span::new(DrcIndex(7), 0), None);
        assert_eq!(Span::new(DrcIndex(u32::MAX), 2), None);
        let last = Span::new(DrcIndex(u32::MAX), 1).unwrap();
        assert_eq!(last.indexes().collect::<Vec<_>>(), [DrcIndex(u32::MAX)]);
    }

    #[test]
    fn span_contains_its_indexes_and_no_others() {
        let span = Span::new(DrcIndex(0x8000_0008), 3).unwrap();
        let around = (0x8000_0006..0x8000_000D).map(DrcIndex).filter(|index| span.contains(*index));
        assert!(around.eq(span.indexes()));
        assert_eq!(span.to_string(), "0x80000008 to 0x8000000a");
    }
}
