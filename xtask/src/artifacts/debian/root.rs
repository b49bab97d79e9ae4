// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root that modules for Debian's kernels are built in: the compilers that these kernels were built with, as cross
//! compilers.

use std::path::Path;

use anyhow::Result;

use crate::artifacts::root::{inputs_of, install};
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::settings::Settings;

const PACKAGES: &[&str] = &[
    "?essential",
    "gcc-12-powerpc64le-linux-gnu",
    "gcc-14-powerpc64le-linux-gnu",
    "gcc-16-powerpc64le-linux-gnu",
    // What the kernels' own build programs are linked with
    "libelf1t64",
    "libssl3t64",
    "make",
    "pahole",
    "xz-utils",
];

/// The root; a sandbox of it is [`crate::artifacts::root::Root::sandbox`].
#[derive(Debug)]
pub(crate) struct DebianRoot;

impl Recipe for DebianRoot {
    fn kind(&self) -> &'static str {
        "debian-root"
    }

    fn title(&self) -> String {
        "build root for Debian's kernels".to_owned()
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        inputs_of(PACKAGES)
    }

    fn needs(&self) -> u64 {
        900
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        install(store, self.kind(), PACKAGES, dir)
    }
}
