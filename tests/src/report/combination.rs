// SPDX-License-Identifier: MIT OR Apache-2.0

//! Combinations of a guest, its kernel, and a VMM, which are shown beside each other.

use crate::{artifacts::Artifacts, pairing::Pairing};
use std::fmt;

/// Guest and VMM.
#[derive(Clone, Copy, Debug)]
pub struct Combination<'a> {
    /// What both are made of.
    pub artifacts: &'a Artifacts,
    /// Pairing.
    pub pairing: Pairing,
    /// Name of the guest's kernel, if it is not that of stock guests.
    pub kernel: Option<&'static str>,
}

impl<'a> Combination<'a> {
    /// Returns a pairing whose guest has the kernel of stock guests.
    pub fn new(artifacts: &'a Artifacts, pairing: Pairing) -> Self {
        Self { artifacts, pairing, kernel: None }
    }
}

/// Formats the combination as it is named in paths of logs.
impl fmt::Display for Combination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pairing { guest, vmm } = self.pairing;
        match self.kernel {
            Some(kernel) => write!(f, "{kernel}-guest.{vmm}-vmm"),
            None => write!(f, "{guest}-guest.{vmm}-vmm"),
        }
    }
}
