// SPDX-License-Identifier: MIT OR Apache-2.0

//! DRC index: the name of a DR connector.

use core::fmt;

/// A DRC index: the 32-bit name by which firmware and guest mean one DR connector (LoPAR, `ibm,drc-indexes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrcIndex(pub u32);

impl fmt::Display for DrcIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}
