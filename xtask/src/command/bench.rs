// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: what this project's parts cost, beside what was promised, and beside stock parts.

mod guest;
mod host;
mod qemu;
mod table;

use anyhow::Result;
use clap::ValueEnum;

use crate::cache::store::Store;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// The crate that a VMM builds in.
    Host,
    /// The module, in a guest.
    Guest,
    /// QEMU with this project's patches.
    Qemu,
}

/// Measures, prints the table, and writes it to `target/bench-WHAT.json`.
pub(crate) fn run(store: &Store, bench: Bench) -> Result<()> {
    match bench {
        Bench::Host => host::run(store),
        Bench::Guest => guest::run(store),
        Bench::Qemu => qemu::run(store),
    }
}
