// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr-unplug-agent` for guests, compiled by this machine's cargo with Debian's rustc.

use crate::{
    artifacts::sources::Sources,
    cache::{Inputs, Made, Parts, Recipe, Store},
    roots::{BUILD_ROOT, Foreign, GUEST, Root},
    run::{BUILD, Log, WORK},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

/// The program.
#[derive(Debug)]
pub(crate) struct Agent;

impl Agent {
    /// The program in the artifact.
    pub(crate) const PROGRAM: &str = "papr-unplug-agent";
}

/// The directories below the checkout that the program is compiled from.
const ROOMS: [&str; 2] = ["agent", "spec/wire"];

/// Cargo's configuration for dependencies that are fetched before: the build has no network.
const VENDORED: &str = r#"[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
"#;

impl Recipe for Agent {
    fn kind(&self) -> &'static str {
        "agent"
    }

    fn title(&self) -> String {
        "agent for guests".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(GUEST)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("vendored", VENDORED).text("command", compile().join(" "));
        sources(&settings.checkout)?.add_to(inputs)
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(self.kind())?;
        let stage = dir.join("build");
        prepare(store, &mut log, &stage)?;
        let sandbox = Root::sandbox(parts.of(&BUILD_ROOT))
            .bind(&stage, BUILD)
            .bind_read_only(&Foreign::tree(parts.of(&GUEST)), WORK);
        log.run("compiling the agent", &mut sandbox.command(compile()))?;
        let built = stage.join("target").join(GUEST.target).join("dist").join(Self::PROGRAM);
        fs::rename(built, dir.join(Self::PROGRAM)).context("the build made no agent")?;
        fs::remove_dir_all(&stage)?;
        Ok(Made { files: vec![Self::PROGRAM.into()], ..Made::default() })
    }
}

/// Returns the files that the program is compiled from.
fn sources(checkout: &Path) -> Result<Sources> {
    let sources = Sources::new(checkout, &["Cargo.toml", "Cargo.lock"]);
    ROOMS.iter().try_fold(sources, |sources, room| sources.with(room, |_| true))
}

/// Copies the sources into `stage`, with a workspace and a cargo of their own, and fetches their dependencies.
fn prepare(store: &Store, log: &mut Log, stage: &Path) -> Result<()> {
    let checkout = &store.settings.checkout;
    sources(checkout)?.copy_to(stage)?;
    let workspace = fs::read_to_string(checkout.join("Cargo.toml"))?;
    fs::write(stage.join("Cargo.toml"), manifest(&workspace)?)?;
    let cargo = env::var_os("CARGO").context("run this through cargo")?;
    let bin = stage.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(&cargo, bin.join("cargo")).context("cannot copy cargo")?;
    // rustc links by `cc`, which the build root does not have.
    fs::write(bin.join("cc"), "#!/bin/sh\nexec clang -fuse-ld=lld \"$@\"\n")?;
    fs::set_permissions(bin.join("cc"), fs::Permissions::from_mode(0o755))?;
    let mut vendor = Command::new(&cargo);
    vendor.args(["vendor", "vendor"]).current_dir(stage);
    log.run("fetching dependencies", &mut vendor)?;
    fs::create_dir_all(stage.join(".cargo"))?;
    fs::write(stage.join(".cargo/config.toml"), VENDORED).context("cannot write cargo's configuration")
}

/// Returns the workspace's manifest, reduced to the program and what it depends on.
fn manifest(workspace: &str) -> Result<String> {
    let mut manifest: toml::Table = workspace.parse()?;
    manifest["workspace"]["members"] = ROOMS.to_vec().into();
    // These name packages that are not there.
    manifest["profile"]["dev"].as_table_mut().context("a profile is a table")?.remove("package");
    Ok(manifest.to_string())
}

/// Returns the command of the compilation.
fn compile() -> Vec<String> {
    let target = GUEST.target;
    let variable = target.replace('-', "_").to_uppercase();
    let link = format!("-Clink-arg=--target=powerpc64le-linux-gnu -Clink-arg=--sysroot={WORK}");
    // Linked statically, the program runs with the C library of any distribution, or without one.
    let flags = format!("--sysroot={WORK}/usr -Ctarget-feature=+crt-static {link}");
    let mut words: Vec<String> = ["env", "--chdir", BUILD].map(str::to_owned).into();
    words.push(format!("PATH={BUILD}/bin:/usr/bin"));
    words.push(format!("CARGO_TARGET_{variable}_RUSTFLAGS={flags}"));
    let build = ["cargo", "build", "--offline", "--package", Agent::PROGRAM, "--profile", "dist", "--target", target];
    words.extend(build.map(str::to_owned));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_keeps_the_program_and_its_profile() {
        let workspace = "[workspace]\nmembers = [\"a\", \"b\"]\nexclude = [\"c\"]\n[profile.dist]\nlto = true\n\
                         [profile.dev]\ndebug = 1\n[profile.dev.package.papr-unplug-model]\nopt-level = 3\n";
        let kept = manifest(workspace).unwrap().parse::<toml::Table>().unwrap();
        assert_eq!(kept["workspace"]["members"].as_array().unwrap().len(), ROOMS.len());
        assert_eq!(kept["profile"].to_string(), "{ dev = { debug = 1 }, dist = { lto = true } }");
    }
}
