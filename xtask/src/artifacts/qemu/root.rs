// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root that QEMU is built in, and that its instructions are counted in.
//!
//! The kernel's build root lacks C libraries and a build system, and has ten times what this one takes; so that whoever
//! wants only one of them waits for only one, they stand side by side.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::artifacts::root::{Root, inputs_of, install};
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::settings::Settings;

const PACKAGES: &[&str] = &[
    "?essential",
    "bison",
    "bzip2",
    "flex",
    "gcc",
    "libc6-dev",
    "libfdt-dev",
    "libglib2.0-dev",
    "make",
    "meson",
    "ninja-build",
    "patch",
    "pkgconf",
    "python3",
    // QEMU's own tools, which 11.1 sets up whether they are used or not.
    "python3-pycotap",
    "python3-qemu-qmp",
    "python3-venv",
    "python3-wheel",
    "qemu-system-data",
    "valgrind",
    "xz-utils",
    "zlib1g-dev",
];

/// The root; a sandbox of it is [`crate::artifacts::root::Root::sandbox`].
#[derive(Debug)]
pub(crate) struct QemuRoot;

impl Recipe for QemuRoot {
    fn kind(&self) -> &'static str {
        "qemu-root"
    }

    fn title(&self) -> String {
        "build root for QEMU".to_owned()
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(inputs_of(PACKAGES)?.text("certificates", "1"))
    }

    fn needs(&self) -> u64 {
        900
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        let made = install(store, self.kind(), PACKAGES, dir)?;
        bundle_certificates(&Root::tree_in(dir))?;
        Ok(made)
    }
}

/// Does what the maintainer script of `ca-certificates` would have done: pip, which sets up QEMU's Python environment,
/// does not start without the bundle, although it fetches nothing.
fn bundle_certificates(tree: &Path) -> Result<()> {
    let mut bundle = Vec::new();
    for entry in fs::read_dir(tree.join("usr/share/ca-certificates/mozilla"))? {
        bundle.extend(fs::read(entry?.path())?);
    }
    fs::write(tree.join("etc/ssl/certs/ca-certificates.crt"), bundle)?;
    Ok(())
}
