// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask object`: compiles the module's Rust for kernels without `CONFIG_RUST`.

use crate::{artifacts::object::Object, cache::store::Store};
use anyhow::Result;

/// Makes the object, and copies it into the checkout, where Kbuild looks for it.
pub(crate) fn run(store: &Store) -> Result<()> {
    Object::stage(&store.ensure(&Object)?, &store.settings.checkout)
}
