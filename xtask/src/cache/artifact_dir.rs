// SPDX-License-Identifier: MIT OR Apache-2.0

//! Directory of an artifact in the cache: `KIND/KEY/` when it is complete, `KIND/KEY.partial/` while it is made, with
//! the lock files `KEY.lock` and `KEY.turn` beside it.

use crate::{cache::manifest::FILE_NAME, settings};
use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The paths of an artifact, which need not exist.
pub(crate) struct ArtifactDir {
    pub(crate) parent: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) partial: PathBuf,
}

impl ArtifactDir {
    pub(crate) fn new(cache: &Path, kind: &str, key: &str) -> Self {
        let parent = cache.join(kind);
        Self { dir: parent.join(key), partial: parent.join(format!("{key}.partial")), parent }
    }

    /// Opens the lock of runs that use the artifact (shared) or make it (exclusive).
    pub(crate) fn open_lock(&self) -> Result<File> {
        open_lock(&self.dir.with_extension("lock"))
    }

    /// Opens the lock of the run that makes the artifact, or finds out whether it must be made.
    pub(crate) fn open_turn(&self) -> Result<File> {
        open_lock(&self.dir.with_extension("turn"))
    }

    /// Renames the partial directory to the artifact's. A process that is killed in here leaves the complete new
    /// artifact or none.
    pub(crate) fn publish(&self) -> Result<()> {
        if self.dir.exists() {
            remove(&self.dir)?;
        }
        fs::rename(&self.partial, &self.dir).with_context(|| format!("cannot rename {}", self.partial.display()))
    }
}

/// Opens the lock file at `path`, and creates it if it is missing.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).write(true).open(path).with_context(|| {
        format!("cannot open {}: set {} to a directory you can write to", path.display(), settings::CACHE)
    })
}

/// Removes an artifact. The manifest goes first, so that an artifact that is removed in part is not taken for a
/// complete one.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_file(dir.join(FILE_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", dir.display()));
        }
        _ => {}
    }
    fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}

/// Returns the directories directly in `dir`; none if `dir` does not exist.
pub(crate) fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
