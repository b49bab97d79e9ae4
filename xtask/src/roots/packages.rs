// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian packages as files.

use crate::{
    cache::Work,
    run::{Apt, Log, machine},
};
use anyhow::{Context, Result, bail};
use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

/// Files that builds do not read, half of the bytes.
pub(super) const EXCLUDED: &[&str] = &[
    "./dev/*",
    "./usr/lib/llvm-*/lib/*.a",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./usr/src/rustc-*/compiler/*",
    "./usr/src/rustc-*/src/*",
];

/// Returns the name of the package file in `dir` that begins with `prefix`.
pub(crate) fn only_deb(dir: &Path, prefix: &str) -> Result<String> {
    let found = debs(dir)?.into_iter().find(|name| name.starts_with(prefix));
    found.with_context(|| format!("apt fetched no {prefix}"))
}

/// Returns the names of the package files in `dir`, in their order.
pub(crate) fn debs(dir: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".deb")).collect();
    names.sort();
    Ok(names)
}

/// Unpacks one package, with all of its files.
pub(crate) fn extract(log: &Log, deb: &Path, tree: &Path) -> Result<()> {
    log.run("unpacking packages", Command::new("dpkg-deb").arg("-x").arg(deb).arg(tree))
}

/// Fetches packages of a suite, without those that they depend on, and unpacks them into the directory `into` of the
/// artifact. Returns what the files were, by the packages' names.
pub(crate) fn fetch_tree(work: &Work<'_>, suite: &str, arch: &str, names: &[&str], into: &str) -> Result<Vec<String>> {
    machine::require_tools(&work.store.progress)?;
    let (tree, state) = (work.mkdir(into)?, work.path(format!("{into}.apt")));
    let apt = Apt::new(work.settings, &work.log, state.clone(), &[(suite, arch)])?;
    let packages: Vec<String> = names.iter().map(|name| format!("{name}:{arch}")).collect();
    apt.fetch_only(&work.log, &packages, &state)?;
    let found = names.iter().map(|name| only_deb(&state, &format!("{name}_"))).collect::<Result<Vec<_>>>()?;
    found.iter().try_for_each(|deb| extract(&work.log, &state.join(deb), &tree))?;
    Ok(found)
}

/// Returns the arguments by which `tar` unpacks all but the patterns `excluded`, whose `*` matches no slash, as the calling user.
pub(crate) fn tar_arguments(excluded: &[&str]) -> Vec<String> {
    let flags = ["-x", "--no-same-owner", "--anchored", "--no-wildcards-match-slash"].map(str::to_owned);
    flags.into_iter().chain(excluded.iter().map(|pattern| format!("--exclude={pattern}"))).collect()
}

/// Unpacks packages into a root, but for [`EXCLUDED`]. `base-files` comes first, because it makes the links such as
/// `/lib` that others unpack through. Links to directories are kept.
pub(super) fn unpack(log: &Log, debs: &[PathBuf], tree: &Path) -> Result<()> {
    let is_first =
        |deb: &&PathBuf| deb.file_name().is_some_and(|name| name.to_string_lossy().starts_with("base-files_"));
    let first = debs.iter().find(is_first).context("no base-files among the packages of the root")?;
    unpack_one(log, first, tree)?;
    let mut task = log.task("unpacking packages");
    let queue: Mutex<VecDeque<&PathBuf>> = Mutex::new(debs.iter().filter(|deb| *deb != first).collect());
    let next = || queue.lock().ok()?.pop_front();
    thread::scope(|scope| {
        let worker = || {
            while let Some(deb) = next() {
                unpack_one(log, deb, tree)?;
            }
            Ok(())
        };
        let others: Vec<_> = (1..machine::jobs()).map(|_| scope.spawn(worker)).collect();
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
    tar.arg("-C").arg(tree).arg("--keep-directory-symlink").args(tar_arguments(EXCLUDED));
    let status = tar.stdin(pipe).stdout(log.descriptor()?).stderr(log.descriptor()?).status()?;
    let source = source.wait()?;
    if source.success() && status.success() {
        return Ok(());
    }
    Err(log.failure(&format!("unpacking {}", deb.display()), if status.success() { source } else { status }, 0))
}
