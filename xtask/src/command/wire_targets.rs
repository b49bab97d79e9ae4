// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask wire-targets`: tests the wire crate with the oldest and the newest zerocopy that it supports, on a
//! little-endian and on an emulated big-endian machine.

use crate::{
    cache::store::Store,
    roots::{
        foreign::{BIG_ENDIAN, Foreign},
        root::{BUILD_ROOT, Root},
    },
    run::{
        log::Log,
        sandbox::{BUILD, Sandbox, WORK},
    },
};
use anyhow::{Context, Result};
use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};
use walkdir::WalkDir;

/// Versions, each as it is named and as a manifest requires it: that of the kernel's copy, and the newest.
const ZEROCOPY: [(&str, &str); 2] = [("0.8.54", "=0.8.54"), ("newest", "0.8")];

/// The files that the tests read, below the checkout.
const FILES: [&str; 3] = ["spec/wire", "spec/vectors", "spec/reasons.toml"];

/// Runs the tests for each version and machine.
pub(crate) fn run(store: &Store) -> Result<()> {
    let [root, libraries] = store.ensure_all([&BUILD_ROOT, &BIG_ENDIAN])?;
    let mut log = store.log("wire-targets")?;
    for (name, requirement) in ZEROCOPY {
        let build = store.settings.checkout.join("target/wire-targets").join(name);
        prepare(store, &mut log, &build, requirement)?;
        let sandbox = Root::sandbox(&root).bind(&build, BUILD).bind_read_only(&Foreign::tree(&libraries), WORK);
        let version = locked(&build)?;
        for target in [None, Some(BIG_ENDIAN.target)] {
            let machine = target.map_or("little-endian (this machine)", |_| "big-endian (s390x, emulated)");
            let title = format!("zerocopy {version}, {machine}");
            log.run(&title, &mut test(&sandbox, target))?;
            store.progress.say(format!("    {title}: passed"));
        }
    }
    Ok(())
}

/// Copies the crate into `build`, with a workspace of its own, and fetches its dependencies.
fn prepare(store: &Store, log: &mut Log, build: &Path, requirement: &str) -> Result<()> {
    let checkout = &store.settings.checkout;
    for entry in FILES.iter().flat_map(|file| WalkDir::new(checkout.join(file))) {
        let entry = entry?;
        let to = build.join(entry.path().strip_prefix(checkout)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        } else {
            fs::copy(entry.path(), &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    let workspace = fs::read_to_string(checkout.join("Cargo.toml"))?;
    fs::write(build.join("Cargo.toml"), manifest(&workspace, requirement))?;
    let cargo = env::var_os("CARGO").context("run this through cargo")?;
    let bin = build.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(&cargo, bin.join("cargo")).context("cannot copy cargo")?;
    // rustc links by `cc`, which the build root does not have.
    fs::write(bin.join("cc"), "#!/bin/sh\nexec clang -fuse-ld=lld \"$@\"\n")?;
    fs::set_permissions(bin.join("cc"), fs::Permissions::from_mode(0o755))?;
    let mut update = Command::new(&cargo);
    update.arg("update").current_dir(build);
    log.run("finding the newest dependencies", &mut update)?;
    let mut vendor = Command::new(&cargo);
    vendor.args(["vendor", "vendor"]).current_dir(build);
    log.run("fetching dependencies", &mut vendor)?;
    fs::create_dir_all(build.join(".cargo"))?;
    fs::write(build.join(".cargo/config.toml"), VENDORED).context("cannot write cargo's configuration")
}

const VENDORED: &str = r#"[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
"#;

/// Returns the workspace's manifest, reduced to the wire crate.
fn manifest(workspace: &str, zerocopy: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("members =") {
            "members = [\"spec/wire\"]\n".to_owned()
        } else if line.starts_with("zerocopy =") {
            format!("zerocopy = {{ version = \"{zerocopy}\", default-features = false }}\n")
        } else if line.starts_with("zerocopy-derive =") {
            format!("zerocopy-derive = \"{zerocopy}\"\n")
        } else {
            format!("{line}\n")
        }
    };
    let kept = workspace.split("[profile.").next().unwrap_or_default();
    kept.lines().map(line).collect()
}

/// Returns the version of zerocopy in the lock file.
fn locked(build: &Path) -> Result<String> {
    let lock = fs::read_to_string(build.join("Cargo.lock")).context("cannot read the lock file")?;
    let found = lock.split("[[package]]").find(|package| package.contains("name = \"zerocopy\""));
    let version = found.and_then(|package| package.lines().find_map(|line| line.strip_prefix("version = ")));
    Ok(version.context("the lock file has no zerocopy")?.trim_matches('"').to_owned())
}

/// Returns the command that runs the tests.
fn test(sandbox: &Sandbox, target: Option<&str>) -> Command {
    let compile = format!("--sysroot={WORK}/usr -Clink-arg=--target=s390x-linux-gnu -Clink-arg=--sysroot={WORK}");
    let mut words: Vec<String> = ["env", "--chdir", BUILD].map(str::to_owned).into();
    words.push(format!("PATH={BUILD}/bin:/usr/bin"));
    words.push(format!("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUSTFLAGS={compile}"));
    words.push(format!("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER={WORK}/usr/bin/qemu-s390x -L {WORK}"));
    words.extend(["cargo", "test", "--offline", "--tests"].map(str::to_owned));
    words.extend(target.into_iter().flat_map(|target| ["--target".to_owned(), target.to_owned()]));
    sandbox.command(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_keeps_the_package_and_pins_zerocopy() {
        let workspace = "[workspace]\nmembers = [\"a\", \"b\"]\n[workspace.package]\nversion = \"1\"\n\
                         zerocopy = { version = \"0.8\" }\nzerocopy-derive = \"0.8\"\n[profile.dev]\ndebug = 1\n";
        let expected = "[workspace]\nmembers = [\"spec/wire\"]\n[workspace.package]\nversion = \"1\"\n\
                        zerocopy = { version = \"=0.8.54\", default-features = false }\nzerocopy-derive = \"=0.8.54\"\n";
        assert_eq!(manifest(workspace, "=0.8.54"), expected);
    }
}
