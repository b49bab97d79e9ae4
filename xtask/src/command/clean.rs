// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask clean`: removes artifacts.

use crate::{
    artifacts,
    cache::{
        Store,
        artifact_dir::{remove, subdirectories},
    },
};
use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Removes artifacts: those that this checkout no longer uses, those of one kind, or everything.
pub(crate) fn run(store: &Store, what: Option<&str>) -> Result<()> {
    let used = if what.is_none() { used(store)? } else { Vec::new() };
    let is_meant = |dir: &Path| match what {
        None | Some("all") => true,
        Some(kind) => dir.parent().is_some_and(|parent| parent.ends_with(kind)),
    };
    let found: Vec<PathBuf> = found(store)?.into_iter().filter(|dir| is_meant(dir)).collect();
    if let Some(kind) = what.filter(|what| *what != "all" && found.is_empty()) {
        bail!("there is no `{kind}` in {}", store.settings.cache.display());
    }
    found.iter().filter(|dir| !used.contains(dir)).try_for_each(|dir| remove_unused(store, dir))?;
    if what == Some("all") {
        for other in ["log", "tools"].map(|name| store.settings.cache.join(name)).iter().filter(|dir| dir.exists()) {
            fs::remove_dir_all(other)?;
        }
    }
    Ok(())
}

/// Returns the directories of all artifacts, whole or damaged.
fn found(store: &Store) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for kind in subdirectories(&store.settings.cache)? {
        // Every artifact has a lock file; logs and tools have none.
        dirs.extend(subdirectories(&kind)?.into_iter().filter(|dir| dir.with_extension("lock").exists()));
    }
    Ok(dirs)
}

/// Returns the directories of the artifacts that this checkout uses.
fn used(store: &Store) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    let mut pending = artifacts::every(&store.settings);
    while let Some(recipe) = pending.pop() {
        let dir = store.dir_of(recipe.as_ref())?;
        if !dirs.contains(&dir) {
            pending.extend(recipe.parts());
            dirs.push(dir);
        }
    }
    Ok(dirs)
}

fn remove_unused(store: &Store, artifact: &Path) -> Result<()> {
    let lock = fs::File::options().write(true).open(artifact.with_extension("lock"))?;
    if lock.try_lock().is_err() {
        store.progress.say(format!("    keeping {}: another run is using it", artifact.display()));
        return Ok(());
    }
    store.progress.say(format!("    removing {}", artifact.display()));
    remove(artifact)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::Settings;

    /// Opens an empty store, with a nearly empty kernel tree of the user's.
    fn store(dir: &Path) -> Store {
        let (cache, tree) = (dir.join("cache"), dir.join("tree"));
        for file in ["vmlinux", ".config", "Module.symvers", "include/config/kernel.release"] {
            fs::create_dir_all(tree.join(file).parent().unwrap()).unwrap();
            fs::write(tree.join(file), "").unwrap();
        }
        // There are more artifacts for a tree with Rust.
        fs::write(tree.join(".config"), "CONFIG_RUST=y\n").unwrap();
        Store::open(Settings { cache, kernel_tree: Some(tree), ..Settings::from_env().unwrap() }).unwrap()
    }

    fn kinds<'a>(dirs: impl IntoIterator<Item = &'a PathBuf>) -> BTreeSet<String> {
        dirs.into_iter().map(|dir| dir.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn kinds_in_use_are_those_that_building_md_lists() {
        let dir = tempfile::tempdir().unwrap();
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/building.md")).unwrap();
        let (_, tables) = page.split_once("| artifact | content |").unwrap();
        let (tables, _) = tables.split_once("\n## ").unwrap();
        let first_cells = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let listed: BTreeSet<String> =
            first_cells.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).map(str::to_owned).collect();
        assert_eq!(kinds(&used(&store(dir.path())).unwrap()), listed);
    }

    #[test]
    fn run_removes_what_is_not_in_use_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let used = used(&store).unwrap();
        let old = store.settings.cache.join("kernel/old");
        for artifact in used.iter().chain([&old]) {
            fs::create_dir_all(artifact).unwrap();
            fs::write(artifact.with_extension("lock"), "").unwrap();
        }
        run(&store, None).unwrap();
        assert_eq!(used.iter().filter(|dir| !dir.exists()).collect::<Vec<_>>(), [&old; 0]);
        assert!(!old.exists());
    }
}
