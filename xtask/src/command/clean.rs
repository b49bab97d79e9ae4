// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask clean`: gives disk space back.

use std::fs;

use anyhow::{Result, bail};

use crate::artifacts::initramfs::Initramfs;
use crate::artifacts::kernel::Flavour;
use crate::artifacts::qemu::Qemu;
use crate::cache::place::{remove, subdirectories};
use crate::cache::store::{Recipe, Store};

/// Removes artifacts: those that this checkout no longer uses, those of one kind, or everything.
pub(crate) fn run(store: &Store, what: Option<&str>) -> Result<()> {
    let kinds = subdirectories(&store.settings.cache)?;
    let is = |kind: &std::path::Path, name: &str| kind.file_name().is_some_and(|found| found == name);
    match what {
        None => {
            let used = used(store)?;
            for artifact in artifacts(store)?.into_iter().filter(|dir| !used.contains(dir)) {
                discard(store, &artifact)?;
            }
        }
        Some("all") => {
            for artifact in artifacts(store)? {
                discard(store, &artifact)?;
            }
            for other in kinds.iter().filter(|kind| is(kind, "log") || is(kind, "tools")) {
                fs::remove_dir_all(other)?;
            }
        }
        Some(name) => {
            let Some(kind) = kinds.iter().find(|kind| is(kind, name)) else {
                let known: Vec<_> = kinds.iter().filter_map(|kind| kind.file_name()?.to_str()).collect();
                bail!("there is no `{name}` in {}: it has {}", store.settings.cache.display(), known.join(", "));
            };
            for artifact in artifacts(store)?.into_iter().filter(|dir| dir.parent() == Some(kind)) {
                discard(store, &artifact)?;
            }
        }
    }
    Ok(())
}

/// The directories of all artifacts, whole or damaged.
fn artifacts(store: &Store) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for kind in subdirectories(&store.settings.cache)? {
        // Every artifact has had a lock; the logs and tools beside them have none.
        found.extend(subdirectories(&kind)?.into_iter().filter(|dir| dir.with_extension("lock").exists()));
    }
    Ok(found)
}

/// The directories that this checkout's recipes name.
fn used(store: &Store) -> Result<Vec<std::path::PathBuf>> {
    let (default, debug) = (Initramfs::new(Flavour::Default), Initramfs::new(Flavour::Debug));
    let mut dirs = Vec::new();
    let mut pending: Vec<&dyn Recipe> = vec![&default, &debug, &Qemu];
    while let Some(recipe) = pending.pop() {
        dirs.push(store.dir_of(recipe)?);
        pending.extend(recipe.parts());
    }
    Ok(dirs)
}

fn discard(store: &Store, artifact: &std::path::Path) -> Result<()> {
    let lock = fs::File::options().write(true).open(artifact.with_extension("lock"))?;
    if lock.try_lock().is_err() {
        store.progress.say(format!("    keeping {}: another run is using it", artifact.display()));
        return Ok(());
    }
    store.progress.say(format!("    removing {}", artifact.display()));
    remove(artifact)
}
