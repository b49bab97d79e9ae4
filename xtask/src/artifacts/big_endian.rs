// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it takes, beside the build root, to compile for a big-endian machine and to run what was compiled: Debian's
//! Rust and C libraries for s390x, and qemu-user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::root::{Root, SUITE};
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::apt::Apt;
use crate::run::step::Log;
use crate::settings::Settings;

const PACKAGES: &[&str] = &["libc6:s390x", "libc6-dev:s390x", "libgcc-s1:s390x"];

/// The tree inside the artifact.
const TREE: &str = "tree";

/// The libraries and the emulator.
#[derive(Debug)]
pub(crate) struct BigEndian;

impl BigEndian {
    /// Rust's name for the machine.
    pub(crate) const TARGET: &str = "s390x-unknown-linux-gnu";

    /// The tree on the host.
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

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("packages", PACKAGES.join(" ")).text("suite", SUITE))
    }

    fn needs(&self) -> u64 {
        800
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root] = parts else { unreachable!("one part is declared") };
        let mut log = Log::begin(store, "big-endian")?;
        let state = dir.join("apt");
        let native = host::arch()?.debian;
        let apt = Apt::new(store, &mut log, state.clone(), &[(SUITE, native), (SUITE, "s390x")])?;
        let rustc = root.manifest.facts.get("rustc").context("the build root does not say which rustc it has")?;
        let rustc = rustc.replace("%3a", ":");
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
        apt.fetch_only(store, &mut log, &packages, &debs).with_context(|| {
            format!("if the mirror no longer has {rustc}: `cargo xtask clean root` and run this again")
        })?;
        let tree = dir.join(TREE);
        fs::create_dir(&tree)?;
        for deb in fs::read_dir(&debs)? {
            let mut unpack = Command::new("dpkg-deb");
            log.run(store, "unpacking packages", unpack.arg("-x").arg(deb?.path()).arg(&tree))?;
        }
        // The C library's linker script names files below /lib.
        std::os::unix::fs::symlink("usr/lib", tree.join("lib"))?;
        fs::remove_dir_all(&state)?;
        fs::remove_dir_all(&debs)?;
        Ok(Made { trees: vec![TREE.into()], ..Made::default() })
    }
}
