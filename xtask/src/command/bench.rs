// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: cost of this project's parts, compared with their targets and with stock parts.

mod guest;
mod host;
mod qemu;
mod table;

use anyhow::Result;
use clap::ValueEnum;

use crate::cache::store::Store;

/// The part that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// The host crate.
    Host,
    /// The guest module.
    Guest,
    /// QEMU with this project's patches.
    Qemu,
}

/// Measures, prints the table, and writes it to `target/bench-PART.json`. Fails if a target is missed.
pub(crate) fn run(store: &Store, bench: Bench) -> Result<()> {
    match bench {
        Bench::Host => host::run(store),
        Bench::Guest => guest::run(store),
        Bench::Qemu => qemu::run(store),
    }
}
