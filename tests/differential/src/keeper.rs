// SPDX-License-Identifier: MIT OR Apache-2.0

//! VMM that tells about requests and saves states.

use crate::{machine::Device, party::Party};
use anyhow::Result;

/// A fact that a VMM tells about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A request has ended.
    Ended(u64, Device, Ending),
    /// A device is gone.
    Deleted(Device),
}

/// End of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Refused; true if by a report that named the request by its token.
    Refused(bool),
    /// With its device.
    Gone,
    /// Withdrawn.
    Withdrawn,
    /// By a load.
    Load,
}

/// The list of a VMM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Number and device of each open request, and whether it is withheld, oldest first.
    pub open: Vec<(u64, Device, bool)>,
    /// The numbers of the requests that ended last, oldest first.
    pub ended: Vec<u64>,
}

/// A VMM that tells about requests and saves states.
pub trait Keeper: Party {
    /// Returns the number of the request that the last `device_del` made.
    fn made(&self) -> Option<u64>;

    /// Returns what was told in the last step, withdrawal, load or migration.
    fn told(&self) -> Vec<Told>;

    /// Returns the list of requests.
    fn list(&mut self) -> Result<List>;

    /// Withdraws a request. Returns whether the VMM accepts that.
    fn withdraw(&mut self, request: u64) -> Result<bool>;

    /// Saves the state, in the place of an earlier one.
    fn save(&mut self) -> Result<()>;

    /// Loads the saved state. The devices of that time are plugged.
    fn load(&mut self) -> Result<()>;

    /// Goes on as a new VMM that was handed the state.
    fn migrate(&mut self) -> Result<()>;
}
