// SPDX-License-Identifier: MIT OR Apache-2.0

//! Additions to the build root for a big-endian machine: Debian's Rust and C libraries for s390x, and qemu-user.

use crate::{
    cache::{
        artifact::{Artifact, Parts},
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    roots::{
        packages::extract,
        root::{BUILD_ROOT, SUITE},
    },
    run::{apt::Apt, machine},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

const PACKAGES: &[&str] = &["libc6:s390x", "libc6-dev:s390x", "libgcc-s1:s390x"];

/// The tree inside the artifact.
const TREE: &str = "tree";

/// The libraries and the emulator.
#[derive(Debug)]
pub(crate) struct BigEndian;

impl BigEndian {
    /// Rust's name for the machine.
    pub(crate) const TARGET: &str = "s390x-unknown-linux-gnu";

    /// Returns the tree on the host.
    pub(crate) fn tree(held: &Artifact) -> PathBuf {
        held.path(TREE)
    }
}

impl Recipe for BigEndian {
    fn kind(&self) -> &'static str {
        "big-endian"
    }

    fn title(&self) -> String {
        "libraries and emulator for s390x".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT)]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("packages", PACKAGES.join(" ")).text("suite", SUITE))
    }

    fn needs(&self) -> u64 {
        800
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log("big-endian")?;
        let state = dir.join("apt");
        let native = machine::arch()?.debian;
        let apt = Apt::new(&store.settings, &mut log, state.clone(), &[(SUITE, native), (SUITE, "s390x")])?;
        // A file name has no colon in it.
        let rustc = parts.of(&BUILD_ROOT).fact("rustc").replace("%3a", ":");
        let (libgcc, _) = apt
            .versions("^libgcc-[0-9]+-dev$")?
            .into_iter()
            .max_by_key(|(name, _)| name.split('-').nth(1).and_then(|version| version.parse::<u32>().ok()))
            .context("the mirror has no libgcc-dev")?;
        let mut packages: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
        packages.push(format!("qemu-user:{native}"));
        packages.push(format!("{libgcc}:s390x"));
        packages.push(format!("libstd-rust-dev:s390x={rustc}"));
        let debs = dir.join("debs");
        fs::create_dir(&debs)?;
        apt.fetch_only(&mut log, &packages, &debs).with_context(|| {
            format!("if the mirror no longer has {rustc}: `cargo xtask clean root` and run this again")
        })?;
        let tree = dir.join(TREE);
        fs::create_dir(&tree)?;
        for deb in fs::read_dir(&debs)? {
            extract(&mut log, &deb?.path(), &tree)?;
        }
        // The C library's linker script names files below /lib.
        std::os::unix::fs::symlink("usr/lib", tree.join("lib"))?;
        fs::remove_dir_all(&state)?;
        fs::remove_dir_all(&debs)?;
        Ok(Made { trees: vec![TREE.into()], ..Made::default() })
    }
}
