// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs for guests, compiled by this machine's cargo with Debian's rustc.

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
    kind: &'static str,
    title: &'static str,
    /// The package, and the program that it makes.
    pub(crate) program: &'static str,
    /// The directories below the checkout that it is compiled from.
    members: &'static [&'static str],
    /// Flags of the compiler, each followed by a space.
    flags: &'static str,
}

/// `papr-unplug-agent`. Linked statically, it runs with the C library of any distribution, or without one.
pub(crate) const AGENT: Cross = Cross {
    kind: "agent",
    title: "agent for guests",
    program: "papr-unplug-agent",
    members: &["agent", "spec/wire"],
    flags: "-Ctarget-feature=+crt-static ",
};

impl Cross {
    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        Recipe::new(self.kind, self.title, move |work| self.make(work))
            .parts([BUILD_ROOT.recipe(), GUEST.recipe()])
            .text("vendored", VENDORED)
            .text("command", self.compile().join(" "))
            .read(move |inputs, settings| self.sources(&settings.checkout)?.add_to(inputs))
            .file(self.program)
    }

    fn sources(self, checkout: &Path) -> Result<Sources> {
        let sources = Sources::new(checkout, &["Cargo.toml", "Cargo.lock"]);
        self.members.iter().try_fold(sources, |sources, member| sources.with(member, |_| true))
    }

    /// Returns the command of the compilation.
    fn compile(self) -> Vec<String> {
        let mut words = workspace::cargo(GUEST, self.flags);
        let build =
            ["cargo", "build", "--offline", "--package", self.program, "--profile", "dist", "--target", GUEST.target];
        words.extend(build.map(str::to_owned));
        words
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        let stage = work.mkdir("build")?;
        self.sources(&work.settings.checkout)?.copy_to(&stage)?;
        workspace::prepare(&work.log, &stage, self.members, None)?;
        let sandbox = BUILD_ROOT.sandbox(work).bind(&stage, BUILD).bind_read_only(&work.of(GUEST.kind).tree(), WORK);
        work.log.run(&format!("compiling {}", self.program), &mut sandbox.command(self.compile()))?;
        let built = stage.join("target").join(GUEST.target).join("dist").join(self.program);
        fs::rename(built, work.path(self.program)).with_context(|| format!("the build made no {}", self.program))?;
        Ok(Made::default())
    }
}
