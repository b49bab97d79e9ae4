// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask install`: installs the C library where builds of VMMs find it.

use crate::{
    artifacts::c_library::install::{self, Install},
    cache::store::Store,
};
use anyhow::Result;

/// Builds the library and installs it.
pub(crate) fn run(store: &Store, directories: &Install) -> Result<()> {
    install::run(&store.settings.checkout, &mut store.log("install")?, directories)?;
    let found = directories.prefix.join(&directories.libdir).join("pkgconfig");
    store.progress.say(format!("    pkg-config finds papr-unplug with PKG_CONFIG_PATH={}", found.display()));
    Ok(())
}
