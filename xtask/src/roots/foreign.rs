// SPDX-License-Identifier: MIT OR Apache-2.0

//! Additions to the build root for another machine: Debian's Rust and C libraries for it, and qemu-user.

use crate::{
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{
        packages::extract,
        root::{BUILD_ROOT, SUITE},
    },
    run::{Apt, machine},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The packages of every machine's additions.
const PACKAGES: [&str; 3] = ["libc6", "libc6-dev", "libgcc-s1"];

/// The tree inside the artifact.
const TREE: &str = "tree";

/// Libraries for another machine, and the emulator of that machine's programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign {
    kind: &'static str,
    /// Debian's name of the machine.
    arch: &'static str,
    /// Rust's name of the machine.
    pub(crate) target: &'static str,
    /// Packages besides those of every machine.
    more: &'static [&'static str],
}

/// A big-endian machine.
pub(crate) const BIG_ENDIAN: Foreign =
    Foreign { kind: "big-endian", arch: "s390x", target: "s390x-unknown-linux-gnu", more: &[] };

/// The machine of guests, with what their programs are linked against.
pub(crate) const GUEST: Foreign = Foreign {
    kind: "guest-libraries",
    arch: "ppc64el",
    target: "powerpc64le-unknown-linux-gnu",
    more: &["librtas-dev", "librtas2", "librtasevent-dev", "librtasevent2"],
};

impl Foreign {
    /// Returns the tree on the host.
    pub(crate) fn tree(held: &Artifact) -> PathBuf {
        held.path(TREE)
    }

    /// Returns the names of the packages, as apt takes them.
    fn packages(&self) -> Vec<String> {
        PACKAGES.iter().chain(self.more).map(|name| format!("{name}:{}", self.arch)).collect()
    }
}

impl Recipe for Foreign {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn title(&self) -> String {
        format!("libraries and emulator for {}", self.arch)
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT)]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("packages", self.packages().join(" ")).text("suite", SUITE))
    }

    fn needs(&self) -> u64 {
        800
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(self.kind)?;
        let state = dir.join("apt");
        let native = machine::arch()?.debian;
        let apt = Apt::new(&store.settings, &mut log, state.clone(), &[(SUITE, native), (SUITE, self.arch)])?;
        // A file name has no colon in it.
        let rustc = parts.of(&BUILD_ROOT).fact("rustc").replace("%3a", ":");
        let (libgcc, _) = apt
            .versions("^libgcc-[0-9]+-dev$")?
            .into_iter()
            .max_by_key(|(name, _)| name.split('-').nth(1).and_then(|version| version.parse::<u32>().ok()))
            .context("the mirror has no libgcc-dev")?;
        let mut packages = self.packages();
        packages.push(format!("qemu-user:{native}"));
        packages.push(format!("{libgcc}:{}", self.arch));
        packages.push(format!("libstd-rust-dev:{}={rustc}", self.arch));
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
