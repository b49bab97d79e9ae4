// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs of others that commands run by cargo: the user's, or pinned ones that are installed into the cache.

use crate::{cache::Store, run::machine};
use anyhow::{Context, Result};
use std::{env, fs, process::Command};

/// A subcommand of cargo.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The name of its crate.
    name: &'static str,
    /// The version that is installed if there is none. `rust-version` of the workspace can build it.
    version: &'static str,
}

pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };
pub(crate) const LLVM_COV: Tool = Tool { name: "cargo-llvm-cov", version: "0.9.1" };
pub(crate) const NEXTEST: Tool = Tool { name: "cargo-nextest", version: "0.9.143" };

impl Tool {
    /// Returns the beginning of a `cargo` command that finds the tool, which is installed unless it is there.
    pub(crate) fn cargo(&self, store: &Store) -> Result<Command> {
        let mut cargo = machine::cargo(&store.settings.checkout);
        if machine::find(self.name).is_none() {
            let root = store.settings.cache.join("tools").join(format!("{}-{}", self.name, self.version));
            if !root.join("bin").join(self.name).exists() {
                self.install(store, &root)?;
            }
            let path = env::var_os("PATH").unwrap_or_default();
            cargo.env("PATH", env::join_paths([root.join("bin")].into_iter().chain(env::split_paths(&path)))?);
        }
        Ok(cargo)
    }

    fn install(&self, store: &Store, root: &std::path::Path) -> Result<()> {
        let Self { name, version } = self;
        store.progress.say(format!("==> installing {name} {version} into {}", root.display()));
        let mut cargo = machine::cargo(&store.settings.checkout);
        // Without optimization, which takes most of the time and saves none: the tool waits for what it runs.
        cargo.args(["install", "--debug", "--locked", name, "--version", version, "--root"]).arg(root);
        cargo.env("CARGO_TARGET_DIR", root.join("target"));
        store.log(name)?.run(&format!("cargo install {name}"), &mut cargo).with_context(|| {
            format!("cannot install {name}; it can also come from elsewhere, as long as it is found on PATH")
        })?;
        fs::remove_dir_all(root.join("target")).with_context(|| format!("cannot remove what {name} was built in"))
    }
}
