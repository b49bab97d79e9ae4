// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr-unplug-agent` for guests, compiled by this machine's cargo with Debian's rustc.

use crate::{
    cache::{
        artifact::Parts,
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    roots::{
        foreign::{Foreign, GUEST},
        root::{BUILD_ROOT, Root},
    },
    run::{
        log::Log,
        sandbox::{BUILD, WORK},
    },
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use walkdir::WalkDir;

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
        let mut inputs = Inputs::default().text("vendored", VENDORED).text("command", compile().join(" "));
        for file in files(&settings.checkout)? {
            inputs = inputs.file(file.display().to_string(), &settings.checkout.join(&file))?;
        }
        Ok(inputs)
    }

    fn needs(&self) -> u64 {
        200
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

/// Returns the files that the program is compiled from, below the checkout.
fn files(checkout: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("Cargo.toml"), PathBuf::from("Cargo.lock")];
    for room in ROOMS {
        for entry in WalkDir::new(checkout.join(room)).sort_by_file_name() {
            let entry = entry.with_context(|| format!("cannot read {room}"))?;
            if entry.file_type().is_file() {
                files.push(entry.path().strip_prefix(checkout)?.to_path_buf());
            }
        }
    }
    Ok(files)
}

/// Copies the sources into `stage`, with a workspace and a cargo of their own, and fetches their dependencies.
fn prepare(store: &Store, log: &mut Log, stage: &Path) -> Result<()> {
    let checkout = &store.settings.checkout;
    for file in files(checkout)? {
        let to = stage.join(&file);
        fs::create_dir_all(to.parent().context("a file without a directory")?)?;
        fs::copy(checkout.join(&file), &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    let workspace = fs::read_to_string(checkout.join("Cargo.toml"))?;
    fs::write(stage.join("Cargo.toml"), manifest(&workspace))?;
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
fn manifest(workspace: &str) -> String {
    let mut is_member = false;
    let mut kept = String::new();
    for line in workspace.lines() {
        if line.starts_with("members =") {
            is_member = true;
            kept += "members = [\"agent\", \"spec/wire\"]\n";
        } else if line.starts_with("[profile.dev.package") {
            // These name packages that are not there.
            break;
        } else if !is_member {
            kept += line;
            kept += "\n";
        }
        is_member &= line != "]";
    }
    kept
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
        let workspace = "[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n]\nexclude = [\"c\"]\n[profile.dist]\nlto = true\n\n\
                         [profile.dev.package.papr-unplug-model]\nopt-level = 3\n";
        let expected =
            "[workspace]\nmembers = [\"agent\", \"spec/wire\"]\nexclude = [\"c\"]\n[profile.dist]\nlto = true\n\n";
        assert_eq!(manifest(workspace), expected);
    }
}
