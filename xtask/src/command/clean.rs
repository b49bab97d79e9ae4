// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask clean`: gives disk space back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::artifacts;
use crate::cache::artifact_dir::{remove, subdirectories};
use crate::cache::store::{Recipe, Store};

/// Removes artifacts: those that this checkout no longer uses, those of one kind, or everything.
pub(crate) fn run(store: &Store, what: Option<&str>) -> Result<()> {
    let kinds = subdirectories(&store.settings.cache)?;
    let is = |kind: &Path, name: &str| kind.file_name().is_some_and(|found| found == name);
    match what {
        None => {
            let used = used(store)?;
            for artifact in found(store)?.into_iter().filter(|dir| !used.contains(dir)) {
                discard(store, &artifact)?;
            }
        }
        Some("all") => {
            for artifact in found(store)? {
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
            for artifact in found(store)?.into_iter().filter(|dir| dir.parent() == Some(kind)) {
                discard(store, &artifact)?;
            }
        }
    }
    Ok(())
}

/// The directories of all artifacts, whole or damaged.
fn found(store: &Store) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for kind in subdirectories(&store.settings.cache)? {
        // Every artifact has had a lock; the logs and tools beside them have none.
        dirs.extend(subdirectories(&kind)?.into_iter().filter(|dir| dir.with_extension("lock").exists()));
    }
    Ok(dirs)
}

/// The directories that this checkout's recipes name.
fn used(store: &Store) -> Result<Vec<PathBuf>> {
    let every = artifacts::every(&store.settings);
    let mut dirs = Vec::new();
    let mut pending: Vec<&dyn Recipe> = every.iter().map(AsRef::as_ref).collect();
    while let Some(recipe) = pending.pop() {
        dirs.push(store.dir_of(recipe)?);
        pending.extend(recipe.parts());
    }
    Ok(dirs)
}

fn discard(store: &Store, artifact: &Path) -> Result<()> {
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

    use walkdir::WalkDir;

    use super::*;
    use crate::settings::Settings;

    /// A store with a kernel tree of the user's, as empty as it may be.
    fn store(dir: &Path) -> Store {
        let (cache, tree) = (dir.join("cache"), dir.join("tree"));
        for file in ["vmlinux", ".config", "Module.symvers", "include/config/kernel.release"] {
            fs::create_dir_all(tree.join(file).parent().unwrap()).unwrap();
            fs::write(tree.join(file), "").unwrap();
        }
        // For which there is more to make than for one without.
        fs::write(tree.join(".config"), "CONFIG_RUST=y\n").unwrap();
        Store::open(Settings { cache, kernel_tree: Some(tree), ..Settings::from_env().unwrap() }).unwrap()
    }

    fn kinds<'a>(dirs: impl IntoIterator<Item = &'a PathBuf>) -> BTreeSet<String> {
        dirs.into_iter().map(|dir| dir.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// The kinds that the sources of recipes name.
    fn kinds_in_sources() -> BTreeSet<String> {
        let mut kinds = BTreeSet::new();
        for entry in WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/artifacts")) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let text = fs::read_to_string(entry.path()).unwrap();
                let bodies = text.split("fn kind(&self) -> &'static str {").skip(1);
                for body in bodies.map(|body| body.split("\n    }\n").next().unwrap()) {
                    kinds.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
                }
            }
        }
        kinds
    }

    #[test]
    fn every_kind_of_artifact_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(kinds(&used(&store(dir.path())).unwrap()), kinds_in_sources());
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
