// SPDX-License-Identifier: MIT OR Apache-2.0

//! Artifacts that are in use.

use crate::cache::manifest::{Manifest, Part};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// An artifact that is complete and verified. No run replaces or removes it while this value lives.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
    _lock: File,
}

impl Artifact {
    /// Returns the artifact in `dir`. `lock` is a shared lock on it.
    pub(super) fn new(dir: PathBuf, manifest: Manifest, lock: File) -> Self {
        Self { dir, manifest, _lock: lock }
    }

    /// Returns the absolute path of something in the artifact.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns what the recipe found out as it made the artifact, such as a version; empty if it did not.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.manifest.facts.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Returns the record of this artifact in the manifests of those that are made from it.
    pub(super) fn part(&self) -> Part {
        let Manifest { kind, key, .. } = &self.manifest;
        Part { kind: kind.clone(), key: key.clone(), identity: self.manifest.identity() }
    }
}

/// The artifacts that a recipe has named as its parts.
#[derive(Debug)]
pub(crate) struct Parts(pub(super) Vec<Artifact>);
