// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask object`: the module's Rust, compiled for kernels without `CONFIG_RUST`, into this checkout.

use anyhow::Result;

use crate::artifacts::object::Object;
use crate::cache::store::Store;

/// Makes it, and puts it where Kbuild looks for it.
pub(crate) fn run(store: &Store) -> Result<()> {
    Object::stage(&store.ensure(&Object)?, &store.settings.checkout)
}
