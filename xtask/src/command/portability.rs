// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask portability`: tests crates where others compile them. The wire crate with the oldest and the newest
//! zerocopy that it supports, on a little-endian and on an emulated big-endian machine; it, the host crate and the C
//! library with the Rust of Debian's stable release, the latter also as a Meson subproject; the C library's ABI with that
//! of the last release.

use crate::{
    artifacts::c_library::install,
    cache::Store,
    roots::{
        foreign::{BIG_ENDIAN, Foreign},
        root::{BUILD_ROOT, Root, STABLE_ROOT},
    },
    run::{
        log::Log,
        sandbox::{BUILD, SOURCE, Sandbox, WORK},
    },
};
use anyhow::{Context, Result};
use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use toml::{Table, Value};
use walkdir::WalkDir;

/// Versions, each as it is named and as a manifest requires it: that of the kernel's copy, and the newest.
const ZEROCOPY: [(&str, &str); 2] = [("0.8.54", "=0.8.54"), ("newest", "0.8")];

/// Runs all tests.
pub(crate) fn run(store: &Store) -> Result<()> {
    let mut log = store.log("portability")?;
    check_abi(store, &mut log)?;
    with_stable_rust(store, &mut log)?;
    with_each_zerocopy(store, &mut log)
}

fn with_each_zerocopy(store: &Store, log: &mut Log) -> Result<()> {
    let [root, libraries] = store.ensure_all([&BUILD_ROOT, &BIG_ENDIAN])?;
    for (name, zerocopy) in ZEROCOPY {
        let excerpt = Excerpt { members: &["spec/wire"], files: &["spec/vectors", "spec/reasons.toml"], zerocopy };
        let build = excerpt.make(store, log, name)?;
        let bin = build.join("bin");
        fs::create_dir_all(&bin)?;
        fs::copy(cargo()?, bin.join("cargo")).context("cannot copy cargo")?;
        // rustc links by `cc`, which the build root does not have.
        fs::write(bin.join("cc"), "#!/bin/sh\nexec clang -fuse-ld=lld \"$@\"\n")?;
        fs::set_permissions(bin.join("cc"), fs::Permissions::from_mode(0o755))?;
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

/// Compares the C library's ABI with that of the last release, and leaves a description of it in `target/portability`.
pub(super) fn check_abi(store: &Store, log: &mut Log) -> Result<()> {
    let (checkout, root) = (&store.settings.checkout, store.ensure(&STABLE_ROOT)?);
    let to = checkout.join("target/portability");
    fs::create_dir_all(&to)?;
    let sandbox = Root::sandbox(&root).bind_read_only(&checkout.join(install::SOURCES), SOURCE).bind(&to, WORK);
    let check = [format!("{SOURCE}/abi/check"), format!("{WORK}/papr_unplug.abi")];
    log.run("comparing the C library's ABI", &mut sandbox.command(check))?;
    log.say("    the C library's ABI is that of the last release, or more");
    Ok(())
}

/// Builds the static C library, runs the tests of wire and host crate, and builds the C library as a subproject of the
/// example.
fn with_stable_rust(store: &Store, log: &mut Log) -> Result<()> {
    let root = store.ensure(&STABLE_ROOT)?;
    let excerpt = Excerpt {
        members: &["spec/wire", "spec/model", "host-vmm", "host-vmm/capi"],
        files: &["spec", "meson.build"],
        zerocopy: ZEROCOPY[1].1,
    };
    let build = excerpt.make(store, log, "stable")?;
    let sandbox = Root::sandbox(&root).bind(&build, BUILD);
    let rust = root.fact("rustc");
    for (title, words) in [
        ("C library", ["build", "--package=papr-unplug-capi", "--lib"].as_slice()),
        ("tests", &["test", "--package=papr-unplug", "--package=papr-unplug-wire", "--lib", "--tests"]),
    ] {
        let title = format!("rustc {rust}, {title}");
        // No maintainer script has made the link `cc`.
        let environment = ["env", "--chdir", BUILD, "PATH=/usr/bin", "RUSTFLAGS=-Clinker=gcc", "cargo"];
        let cargo = environment.iter().chain(words).chain(&["--offline"]);
        log.run(&title, &mut sandbox.command(cargo))?;
        store.progress.say(format!("    {title}: passed"));
    }
    let subproject = build.join(install::SOURCES).join("examples/subprojects/papr-unplug");
    if !subproject.is_symlink() {
        symlink("../../../..", subproject)?;
    }
    let title = format!("rustc {rust}, C library as a Meson subproject");
    log.run(&title, &mut sandbox.command(["sh", "-exc", SUBPROJECT]))?;
    store.progress.say(format!("    {title}: passed"));
    Ok(())
}

/// Builds the example with the library, either way, and runs it.
const SUBPROJECT: &str = "cd /build/host-vmm/capi/examples; export CC=gcc RUSTFLAGS=-Clinker=gcc
[ -d ../../../target/meson ] || meson setup --wrap-mode=nodownload ../../../target/meson
for library in shared static; do
    meson configure -Dpapr-unplug:default_library=$library ../../../target/meson
    ninja -C ../../../target/meson
    ../../../target/meson/refused_dimm | grep 'the guest refused at connector'
done";

/// Members of the workspace, as a workspace of their own.
struct Excerpt {
    members: &'static [&'static str],
    /// What their tests read, apart from them.
    files: &'static [&'static str],
    /// The version of zerocopy that is required.
    zerocopy: &'static str,
}

impl Excerpt {
    /// Copies the members into a directory below `target`, and fetches the newest dependencies that their `rust-version`
    /// allows.
    fn make(&self, store: &Store, log: &mut Log, name: &str) -> Result<PathBuf> {
        let checkout = &store.settings.checkout;
        let build = checkout.join("target/portability").join(name);
        for entry in self.members.iter().chain(self.files).flat_map(|file| WalkDir::new(checkout.join(file))) {
            let entry = entry?;
            let to = build.join(entry.path().strip_prefix(checkout)?);
            if entry.file_type().is_dir() {
                fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
            } else {
                fs::copy(entry.path(), &to).with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        let workspace = fs::read_to_string(checkout.join("Cargo.toml"))?;
        fs::write(build.join("Cargo.toml"), self.manifest(&workspace)?)?;
        // Of an earlier run, whose vendored sources would be taken.
        let _ = fs::remove_file(build.join(".cargo/config.toml"));
        let mut update = Command::new(cargo()?);
        update.arg("update").current_dir(&build);
        log.run("finding the newest dependencies", &mut update)?;
        let mut vendor = Command::new(cargo()?);
        vendor.args(["vendor", "vendor"]).current_dir(&build);
        log.run("fetching dependencies", &mut vendor)?;
        fs::create_dir_all(build.join(".cargo"))?;
        fs::write(build.join(".cargo/config.toml"), VENDORED).context("cannot write cargo's configuration")?;
        Ok(build)
    }

    /// Returns the workspace's manifest, reduced to the members.
    fn manifest(&self, manifest: &str) -> Result<String> {
        let mut manifest: Table = manifest.parse()?;
        manifest.get_mut("profile").and_then(Value::as_table_mut).map(|profiles| profiles.remove("dev"));
        let workspace = manifest.get_mut("workspace").and_then(Value::as_table_mut).context("no workspace")?;
        workspace.insert("members".to_owned(), self.members.to_vec().into());
        workspace.remove("exclude");
        let dependencies =
            workspace.get_mut("dependencies").and_then(Value::as_table_mut).context("no dependencies")?;
        let zerocopy = dependencies.get_mut("zerocopy").and_then(Value::as_table_mut).context("no zerocopy")?;
        zerocopy.insert("version".to_owned(), self.zerocopy.into());
        dependencies.insert("zerocopy-derive".to_owned(), self.zerocopy.into());
        Ok(manifest.to_string())
    }
}

fn cargo() -> Result<OsString> {
    env::var_os("CARGO").context("run this through cargo")
}

const VENDORED: &str = r#"[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
"#;

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
    fn manifest_keeps_the_members_and_requires_a_zerocopy() {
        let whole = "[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n]\nexclude = [\"c\"]\n\
                     [workspace.package]\nversion = \"1\"\n[workspace.dependencies]\nb = { path = \"b\" }\n\
                     zerocopy = { version = \"0.8\", default-features = false }\nzerocopy-derive = \"0.8\"\n\
                     [profile.dev]\ndebug = 1\n[profile.dist]\nlto = true\n";
        let expected = "[workspace]\nmembers = [\"a\"]\n[workspace.package]\nversion = \"1\"\n\
                        [workspace.dependencies]\nb = { path = \"b\" }\n\
                        zerocopy = { version = \"=0.8.54\", default-features = false }\nzerocopy-derive = \"=0.8.54\"\n\
                        [profile.dist]\nlto = true\n";
        let excerpt = Excerpt { members: &["a"], files: &[], zerocopy: "=0.8.54" };
        assert_eq!(excerpt.manifest(whole).unwrap().parse::<Table>().unwrap(), expected.parse().unwrap());
    }
}
