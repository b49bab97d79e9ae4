// SPDX-License-Identifier: GPL-2.0-only

//! Kernel's table of LMBs, as it is in the device tree (LoPAR, "ibm,dynamic-memory" and
//! "ibm,dynamic-memory-v2").

use super::observations::LmbFlags;
use crate::wire::drc::DrcIndex;

/// The length of an entry, in either format.
const ENTRY: usize = 24;
/// The offset of the flags, in either format.
const FLAGS: usize = 20;

/// The table.
#[derive(Clone, Copy, Debug)]
pub struct LmbTable<'a> {
    entries: &'a [u8],
    has_sequences: bool,
}

impl<'a> LmbTable<'a> {
    /// Reads the value of the property. If `has_sequences`, each entry is for several LMBs.
    pub fn new(property: &'a [u8], has_sequences: bool) -> Self {
        // The number of entries comes first.
        Self { entries: property.get(4..).unwrap_or_default(), has_sequences }
    }

    /// Returns whether the table has an LMB with this connector that the kernel does not hold.
    pub fn has_unassigned(&self, connector: DrcIndex) -> bool {
        let flags = self.entries.chunks_exact(ENTRY).find_map(|entry| self.flags(entry, connector));
        flags.is_some_and(|flags| (flags & (LmbFlags::ASSIGNED | LmbFlags::RESERVED)).is_empty())
    }

    /// Returns the flags in an entry, if it is for this connector.
    fn flags(&self, entry: &[u8], connector: DrcIndex) -> Option<LmbFlags> {
        let (first, count) = if self.has_sequences {
            (word(entry, 12)?, word(entry, 0)?)
        } else {
            (word(entry, 8)?, 1)
        };
        (connector.0.wrapping_sub(first) < count).then_some(LmbFlags(word(entry, FLAGS)?))
    }
}

/// Returns the number at this offset.
fn word(entry: &[u8], at: usize) -> Option<u32> {
    entry.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn table(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn unassigned(table: &LmbTable<'_>) -> Vec<u32> {
        (0..10).filter(|connector| table.has_unassigned(DrcIndex(*connector))).collect()
    }

    #[test]
    fn lmb_that_is_neither_assigned_nor_reserved_is_the_kernels_no_more() {
        let lmbs =
            [4, 0, 0, 1, 0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 2, 3, 0, 0, 0x80, 0, 3, 4, 0, 0, 0x40];
        assert_eq!(unassigned(&LmbTable::new(&table(&lmbs), false)), [2, 4]);
    }

    #[test]
    fn sequence_of_lmbs_has_the_connectors_from_the_first_on() {
        let sequences = [2, 3, 0, 0, 2, 0, 8, 2, 0, 3, 6, 0, 0];
        assert_eq!(unassigned(&LmbTable::new(&table(&sequences), true)), [6, 7]);
    }

    #[test]
    fn table_that_is_cut_short_has_what_it_has() {
        let whole = table(&[1, 0, 0, 5, 0, 0, 0]);
        assert_eq!(unassigned(&LmbTable::new(&whole, false)), [5]);
        for length in 0..whole.len() {
            assert_eq!(unassigned(&LmbTable::new(&whole[..length], false)), []);
        }
    }
}
