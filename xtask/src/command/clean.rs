// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask clean`: removes artifacts.

use crate::{
    artifacts,
    cache::{Store, store::remove},
};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Removes artifacts: those that this checkout no longer uses, those of one kind, or everything.
pub(crate) fn run(store: &Store, what: Option<&str>) -> Result<()> {
    let cache = &store.settings.cache;
    let used = if what.is_none() { used(store)? } else { Vec::new() };
    let is_meant = |dir: &PathBuf| match what {
        None => !used.contains(dir),
        Some("all") => true,
        Some(kind) => dir.with_file_name("").ends_with(kind),
    };
    let mut found = Vec::new();
    for kind in subdirectories(cache)? {
        // Every artifact, whole or damaged, has a lock file; logs and tools have none.
        found.extend(subdirectories(&kind)?.into_iter().filter(|dir| dir.with_extension("lock").exists()));
    }
    found.retain(is_meant);
    if let Some(kind) = what.filter(|what| *what != "all" && found.is_empty()) {
        bail!("there is no `{kind}` in {}", cache.display());
    }
    for dir in found {
        let lock = File::options().write(true).open(dir.with_extension("lock"))?;
        if lock.try_lock().is_err() {
            store.progress.say(format!("    keeping {}: another run is using it", dir.display()));
            continue;
        }
        store.progress.say(format!("    removing {}", dir.display()));
        remove(&dir)?;
    }
    if what == Some("all") {
        for other in ["log", "tools"].map(|name| cache.join(name)).iter().filter(|dir| dir.exists()) {
            fs::remove_dir_all(other)?;
        }
    }
    Ok(())
}

/// Returns the directories of the artifacts that this checkout uses.
fn used(store: &Store) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    let mut pending = artifacts::every(&store.settings);
    while let Some(recipe) = pending.pop() {
        let dir = store.dir_of(&recipe)?;
        if !dirs.contains(&dir) {
            pending.extend(recipe.parts);
            dirs.push(dir);
        }
    }
    Ok(dirs)
}

/// Returns the directories directly in `dir`.
fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect())
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
