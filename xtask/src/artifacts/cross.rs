// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs for pseries guests and POWER hosts, compiled by this machine's cargo with Debian's rustc.

use crate::{
    artifacts::{
        sources::Sources,
        workspace::{self, VENDORED},
    },
    cache::{Made, Recipe, Work},
    roots::{BUILD_ROOT, GUEST},
    run::{BUILD, WORK},
};
use anyhow::{Context, Result};
use std::{fs, path::Path};

/// A package of the workspace, with the packages that it depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cross {
    pub(crate) kind: &'static str,
    title: &'static str,
    package: &'static str,
    /// The program or library that it makes.
    pub(crate) file: &'static str,
    /// The directories of the packages, below the checkout.
    members: &'static [&'static str],
    /// The files that they are compiled from, and directories of such files.
    sources: &'static [&'static str],
    /// Flags of the compiler, each followed by a space.
    flags: &'static str,
}

/// `papr-unplug-agent`. Linked statically, it runs with the C library of any distribution, or without one.
pub(crate) const AGENT: Cross = Cross {
    kind: "agent",
    title: "agent for guests",
    package: "papr-unplug-agent",
    file: "papr-unplug-agent",
    members: &["agent", "spec/wire"],
    sources: &["agent", "spec/wire"],
    flags: "-Ctarget-feature=+crt-static ",
};

/// The C library for POWER hosts, before it is linked.
pub(crate) const ARCHIVE: Cross = Cross {
    kind: "archive-ppc64el",
    title: "code of the C library for POWER hosts",
    package: "papr-unplug-capi",
    file: "libpapr_unplug_capi.a",
    members: &["host-vmm", "host-vmm/capi", "spec/wire"],
    sources: &[
        "host-vmm/Cargo.toml",
        "host-vmm/src",
        "host-vmm/capi/Cargo.toml",
        "host-vmm/capi/src",
        "spec/wire/Cargo.toml",
        "spec/wire/src",
    ],
    flags: "",
};

impl Cross {
    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        Recipe::new(self.kind, self.title, move |work| self.make(work))
            .parts([BUILD_ROOT.recipe(), GUEST.recipe()])
            .text("vendored", VENDORED)
            .text("command", self.compile().join(" "))
            .read(move |inputs, settings| self.sources(&settings.checkout)?.add_to(inputs))
            .file(self.file)
    }

    fn sources(self, checkout: &Path) -> Result<Sources> {
        let sources = Sources::new(checkout, &["Cargo.toml", "Cargo.lock"]);
        self.sources.iter().try_fold(sources, |sources, source| sources.with(source, |_| true))
    }

    /// Returns the command of the compilation.
    fn compile(self) -> Vec<String> {
        let mut words = workspace::cargo(GUEST, self.flags);
        let build =
            ["cargo", "build", "--offline", "--package", self.package, "--profile", "dist", "--target", GUEST.target];
        words.extend(build.map(str::to_owned));
        words
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        let stage = work.mkdir("build")?;
        self.sources(&work.settings.checkout)?.copy_to(&stage)?;
        workspace::prepare(&work.log, &stage, self.members, None)?;
        let sandbox = BUILD_ROOT.sandbox(work).bind(&stage, BUILD).bind_read_only(&work.of(GUEST.kind).tree(), WORK);
        work.log.run(&format!("compiling {}", self.package), &mut sandbox.command(self.compile()))?;
        let built = stage.join("target").join(GUEST.target).join("dist").join(self.file);
        fs::rename(built, work.path(self.file)).with_context(|| format!("the build made no {}", self.file))?;
        Ok(Made::default())
    }
}
