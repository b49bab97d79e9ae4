// SPDX-License-Identifier: MIT OR Apache-2.0

//! Additions to the build root for another machine: Debian's Rust and C libraries for it, and qemu-user.

use crate::{
    cache::{Made, Recipe, Work},
    roots::{
        packages::{debs, extract},
        root::{BUILD_ROOT, SUITE},
    },
    run::{Apt, machine},
};
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;

/// Libraries for another machine, and the emulator of that machine's programs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign {
    pub(crate) kind: &'static str,
    /// Debian's name of the machine.
    arch: &'static str,
    /// Rust's name of the machine.
    pub(crate) target: &'static str,
    packages: &'static [&'static str],
}

/// A big-endian machine.
pub(crate) const BIG_ENDIAN: Foreign = Foreign {
    kind: "big-endian",
    arch: "s390x",
    target: "s390x-unknown-linux-gnu",
    packages: &["libc6", "libc6-dev", "libgcc-s1"],
};

/// The machine of guests, with what their programs are linked against.
pub(crate) const GUEST: Foreign = Foreign {
    kind: "guest-libraries",
    arch: "ppc64el",
    target: "powerpc64le-unknown-linux-gnu",
    packages: &["libc6", "libc6-dev", "libgcc-s1", "librtas-dev", "librtas2", "librtasevent-dev", "librtasevent2"],
};

impl Foreign {
    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let title = format!("libraries and emulator for {}", self.arch);
        Recipe::new(self.kind, title, move |work| self.make(work))
            .parts([BUILD_ROOT.recipe()])
            .text("packages", self.packages().join(" "))
            .text("suite", SUITE)
            .needs(800)
            .tree("tree")
    }

    /// Returns the names of the packages, as apt takes them.
    fn packages(self) -> Vec<String> {
        self.packages.iter().map(|name| format!("{name}:{}", self.arch)).collect()
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        let native = machine::arch()?.debian;
        let sources = [(SUITE, native), (SUITE, self.arch)];
        let apt = Apt::new(work.settings, &work.log, work.path("apt"), &sources)?;
        // A file name has no colon in it.
        let rustc = work.of(BUILD_ROOT.kind).fact("rustc").replace("%3a", ":");
        let (libgcc, _) = apt
            .versions("^libgcc-[0-9]+-dev$")?
            .into_iter()
            .max_by_key(|(name, _)| name.split('-').nth(1).and_then(|version| version.parse::<u32>().ok()))
            .context("the mirror has no libgcc-dev")?;
        let mut packages = self.packages();
        packages.push(format!("qemu-user:{native}"));
        packages.push(format!("{libgcc}:{}", self.arch));
        packages.push(format!("libstd-rust-dev:{}={rustc}", self.arch));
        let (fetched, tree) = (work.mkdir("debs")?, work.mkdir("tree")?);
        apt.fetch_only(&work.log, &packages, &fetched).with_context(|| {
            format!("if the mirror no longer has {rustc}: `cargo xtask clean root` and run this again")
        })?;
        debs(&fetched)?.iter().try_for_each(|deb| extract(&work.log, &fetched.join(deb), &tree))?;
        // The C library's linker script names files below /lib.
        symlink("usr/lib", tree.join("lib"))?;
        Ok(Made::default())
    }
}
