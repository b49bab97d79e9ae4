// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build root: a Debian with the kernel's tool chain and QEMU, unpacked by the calling user.
//!
//! No maintainer script runs, so no privilege is needed; the few things that scripts would have set up and that builds
//! miss are put there by hand.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::artifacts::untar;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::apt::Apt;
use crate::host::sandbox::{MOUNT_POINTS, Sandbox};
use crate::run::step::Log;
use crate::settings::Settings;

/// The suite the tools come from: the oldest with a rustc (1.95 or newer) that the kernel accepts.
pub(crate) const SUITE: &str = "forky";

const PACKAGES: &[&str] = &[
    "?essential",
    "bc",
    "bindgen",
    "bison",
    "clang",
    "flex",
    "libelf-dev",
    "lld",
    "llvm",
    "make",
    "patch",
    "perl",
    "python3-minimal",
    "qemu-system-data",
    "qemu-system-ppc",
    "rust-src",
    "rustc",
    "xz-utils",
];

/// Left out: half of the bytes, and nothing that a build reads.
const EXCLUDED: &[&str] = &[
    "./dev/*",
    "./usr/lib/llvm-*/lib/*.a",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./usr/src/rustc-*/compiler/*",
    "./usr/src/rustc-*/src/*",
];

/// The tree inside the artifact.
const TREE: &str = "tree";

/// The build root.
#[derive(Debug)]
pub(crate) struct Root;

impl Root {
    /// The sandbox that a made root gives.
    pub(crate) fn sandbox(held: &Artifact) -> Sandbox {
        Sandbox::new(&held.path(TREE))
    }

    /// The root's tree on the host.
    pub(crate) fn tree(held: &Artifact) -> PathBuf {
        held.path(TREE)
    }

    /// The tree of a root that is being made in `dir`.
    pub(crate) fn tree_in(dir: &Path) -> PathBuf {
        dir.join(TREE)
    }
}

impl Recipe for Root {
    fn kind(&self) -> &'static str {
        "root"
    }

    fn title(&self) -> String {
        format!("build root (Debian {SUITE})")
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        inputs_of(PACKAGES)
    }

    fn needs(&self) -> u64 {
        1900
    }

    fn make(&self, store: &Store, _: &[Artifact], dir: &Path) -> Result<Made> {
        install(store, self.kind(), PACKAGES, dir)
    }
}

/// Unpacks a Debian with these packages, and all they depend on, into `dir`.
pub(crate) fn install(store: &Store, kind: &str, packages: &[&str], dir: &Path) -> Result<Made> {
    host::require_tools(&store.progress)?;
    let mut log = Log::begin(store, kind)?;
    let state = dir.join("apt");
    let apt = Apt::new(store, &mut log, state.clone(), &[(SUITE, host::arch()?.debian)])?;
    let debs = apt.fetch_closure(store, &mut log, packages)?;
    let tree = dir.join(TREE);
    fs::create_dir(&tree)?;
    unpack(store, &log, &debs, &tree)?;
    finish(store, &mut log, &tree)?;
    fs::remove_dir_all(&state)?;
    let mut made = Made { trees: vec![TREE.into()], ..Made::default() };
    for deb in &debs {
        // name_version_arch.deb
        let name = deb.file_stem().unwrap_or_default().to_string_lossy();
        let mut words = name.split('_');
        made.fact(words.next().unwrap_or_default(), words.next().unwrap_or_default());
    }
    Ok(made)
}

/// What a root of these packages is made from.
pub(crate) fn inputs_of(packages: &[&str]) -> Result<Inputs> {
    Ok(Inputs::default()
        .text("arch", host::arch()?.debian)
        .text("suite", SUITE)
        .text("packages", packages.join(" "))
        .text("tar", untar::arguments(EXCLUDED).join(" "))
        .text("made by hand", "1"))
}

/// Unpacks all packages; `base-files` first, because it makes the links such as `/lib` that others unpack through. Links to
/// directories that are there already stay.
pub(crate) fn unpack(store: &Store, log: &Log, debs: &[PathBuf], tree: &Path) -> Result<()> {
    let is_first =
        |deb: &&PathBuf| deb.file_name().is_some_and(|name| name.to_string_lossy().starts_with("base-files_"));
    let first = debs.iter().find(is_first).context("no base-files among the packages of the build root")?;
    unpack_one(log, first, tree)?;
    let mut task = store.progress.task("unpacking packages");
    let queue: Mutex<VecDeque<&PathBuf>> = Mutex::new(debs.iter().filter(|deb| *deb != first).collect());
    let next = || queue.lock().ok()?.pop_front();
    thread::scope(|scope| {
        let worker = || {
            while let Some(deb) = next() {
                unpack_one(log, deb, tree)?;
            }
            Ok(())
        };
        let others: Vec<_> = (1..host::jobs()).map(|_| scope.spawn(worker)).collect();
        while let Some(deb) = next() {
            task.at(&deb.file_name().unwrap_or_default().to_string_lossy());
            unpack_one(log, deb, tree)?;
        }
        others.into_iter().try_for_each(|other| other.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

fn unpack_one(log: &Log, deb: &Path, tree: &Path) -> Result<()> {
    let mut source = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .stderr(log.descriptor()?)
        .spawn()?;
    let pipe = source.stdout.take().context("dpkg-deb has no output")?;
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(tree).arg("--keep-directory-symlink").args(untar::arguments(EXCLUDED));
    let status = tar.stdin(pipe).stdout(log.descriptor()?).stderr(log.descriptor()?).status()?;
    let source = source.wait()?;
    if source.success() && status.success() {
        return Ok(());
    }
    Err(log.failure(&format!("unpacking {}", deb.display()), if status.success() { source } else { status }, 0))
}

/// Does what the maintainer scripts would have done, as far as builds need it.
fn finish(store: &Store, log: &mut Log, tree: &Path) -> Result<()> {
    symlink("mawk", tree.join("usr/bin/awk"))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")?;
    for point in MOUNT_POINTS {
        fs::create_dir(tree.join(&point[1..]))?;
    }
    log.run(store, "ldconfig", &mut Sandbox::writable(tree).command(["ldconfig"]))
}
