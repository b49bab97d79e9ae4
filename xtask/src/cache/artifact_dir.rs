// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an artifact is in the cache: `KIND/KEY/` when it is whole, `KEY.partial` while it is made, `KEY.lock` and
//! `KEY.turn` beside them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::manifest::FILE_NAME;
use crate::settings;

/// Where an artifact is, or will be.
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

    pub(crate) fn open_lock(&self) -> Result<File> {
        open_lock(&self.dir.with_extension("lock"))
    }

    /// The lock of whoever makes the artifact, or finds out whether it must be made.
    pub(crate) fn open_turn(&self) -> Result<File> {
        open_lock(&self.dir.with_extension("turn"))
    }

    pub(crate) fn clear_partial(&self) -> Result<()> {
        if self.partial.exists() { remove(&self.partial) } else { Ok(()) }
    }

    /// Turns the partial directory into the artifact. Dying anywhere in here leaves no artifact or the whole new one.
    pub(crate) fn publish(&self) -> Result<()> {
        if self.dir.exists() {
            remove(&self.dir)?;
        }
        fs::rename(&self.partial, &self.dir).with_context(|| format!("cannot rename {}", self.partial.display()))
    }
}

/// Opens the lock file at `path`, which need not exist.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).write(true).open(path).with_context(|| {
        format!("cannot open {}: set {} to a directory you can write to", path.display(), settings::CACHE)
    })
}

/// Removes an artifact; one that is only half removed has no manifest any more.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_file(dir.join(FILE_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", dir.display()));
        }
        _ => {}
    }
    fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}

/// The directories directly in `dir`, which need not exist.
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
