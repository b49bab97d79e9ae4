// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask object`: compiles the module's Rust for kernels without `CONFIG_RUST`.

use anyhow::Result;

use crate::artifacts::object::Object;
use crate::cache::store::Store;

/// Makes the object, and copies it into the checkout, where Kbuild looks for it.
pub(crate) fn run(store: &Store) -> Result<()> {
    Object::stage(&store.ensure(&Object)?, &store.settings.checkout)
}
