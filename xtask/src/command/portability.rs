// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask portability`: tests crates where others compile them. The wire crate with the oldest and the newest
//! zerocopy that it supports, on a little-endian and on an emulated big-endian machine; it, the host crate and the C
//! library with the Rust of Debian's stable release, the latter also as a Meson subproject; the C library's ABI with that
//! of the last release.

use crate::{
    artifacts::{c_library, sources::Sources, workspace},
    cache::Store,
    roots::{BIG_ENDIAN, BUILD_ROOT, STABLE_ROOT},
    run::{BUILD, Log, SOURCE, Sandbox, WORK},
};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// Versions, each as it is named and as a manifest requires it: that of the kernel's copy, and the newest.
const ZEROCOPY: [(&str, &str); 2] = [("0.8.54", "=0.8.54"), ("newest", "0.8")];

/// Runs all tests.
pub(crate) fn run(store: &Store) -> Result<()> {
    let log = store.log("portability")?;
    check_abi(store, &log)?;
    with_stable_rust(store, &log)?;
    with_each_zerocopy(store, &log)
}

fn with_each_zerocopy(store: &Store, log: &Log) -> Result<()> {
    let [root, libraries] = store.ensure_all([&BUILD_ROOT.recipe(), &BIG_ENDIAN.recipe()])?;
    for (name, zerocopy) in ZEROCOPY {
        let build = excerpt(store, log, name, &["spec/wire"], &["spec/vectors", "spec/reasons.toml"], zerocopy)?;
        let sandbox = Sandbox::new(&root.tree()).bind(&build, BUILD).bind_read_only(&libraries.tree(), WORK);
        let version = locked(&build)?;
        for target in [None, Some(BIG_ENDIAN.target)] {
            let machine = target.map_or("little-endian (this machine)", |_| "big-endian (s390x, emulated)");
            let title = format!("zerocopy {version}, {machine}");
            log.run(&title, &mut test(&sandbox, target))?;
            log.say(format!("    {title}: passed"));
        }
    }
    Ok(())
}

/// Compares the C library's ABI with that of the last release, and leaves a description of it in `target/portability`.
pub(super) fn check_abi(store: &Store, log: &Log) -> Result<()> {
    let (checkout, root) = (&store.settings.checkout, store.ensure(&STABLE_ROOT.recipe())?);
    let to = checkout.join("target/portability");
    fs::create_dir_all(&to)?;
    let sandbox = Sandbox::new(&root.tree()).bind_read_only(&checkout.join(c_library::SOURCES), SOURCE).bind(&to, WORK);
    let check = [format!("{SOURCE}/abi/check"), format!("{WORK}/papr_unplug.abi")];
    log.run("comparing the C library's ABI", &mut sandbox.command(check))?;
    log.say("    the C library's ABI is that of the last release, or more");
    Ok(())
}

/// Builds the static C library, runs the tests of wire and host crate, and builds the C library as a subproject of the
/// example.
fn with_stable_rust(store: &Store, log: &Log) -> Result<()> {
    let root = store.ensure(&STABLE_ROOT.recipe())?;
    let members = ["spec/wire", "spec/model", "host-vmm", "host-vmm/capi"];
    let build = excerpt(store, log, "stable", &members, &["spec", "meson.build"], ZEROCOPY[1].1)?;
    let sandbox = Sandbox::new(&root.tree()).bind(&build, BUILD);
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
        log.say(format!("    {title}: passed"));
    }
    let subproject = build.join(c_library::SOURCES).join("examples/subprojects/papr-unplug");
    if !subproject.is_symlink() {
        symlink("../../../..", subproject)?;
    }
    let title = format!("rustc {rust}, C library as a Meson subproject");
    log.run(&title, &mut sandbox.command(["sh", "-exc", SUBPROJECT]))?;
    log.say(format!("    {title}: passed"));
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

/// Copies members of the workspace, and the files that their tests read, into a directory below `target`, with the newest
/// dependencies that their `rust-version` allows.
fn excerpt(store: &Store, log: &Log, name: &str, members: &[&str], files: &[&str], zerocopy: &str) -> Result<PathBuf> {
    let checkout = &store.settings.checkout;
    let build = checkout.join("target/portability").join(name);
    let sources = members
        .iter()
        .chain(files)
        .try_fold(Sources::new(checkout, &["Cargo.toml"]), |sources, file| sources.with(file, |_| true))?;
    sources.copy_to(&build)?;
    workspace::prepare(log, &build, members, Some(zerocopy))?;
    Ok(build)
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
    let mut words = workspace::cargo(BIG_ENDIAN, "");
    words.push(format!("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER={WORK}/usr/bin/qemu-s390x -L {WORK}"));
    words.extend(["cargo", "test", "--offline", "--tests"].map(str::to_owned));
    words.extend(target.into_iter().flat_map(|target| ["--target".to_owned(), target.to_owned()]));
    sandbox.command(words)
}
