// SPDX-License-Identifier: MIT OR Apache-2.0

//! Recipes, what making an artifact has at hand, and artifacts that are in use.

use crate::{
    cache::{
        manifest::{Inputs, Made, Manifest},
        store::Store,
    },
    run::Log,
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

type Read = dyn Fn(Inputs, &Settings) -> Result<Inputs> + Send + Sync;
type Make = dyn Fn(&Work<'_>) -> Result<Made> + Send + Sync;

/// Recipe of one artifact.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// The directory below the cache, such as `kernel`.
    pub(crate) kind: &'static str,
    /// The name in messages.
    pub(crate) title: String,
    /// The artifacts that it is made from, each of another kind.
    pub(crate) parts: Vec<Recipe>,
    /// The name of the log.
    pub(super) log: String,
    /// The inputs that never change.
    pub(super) texts: Inputs,
    /// Adds the inputs that are read each time.
    pub(super) read: Arc<Read>,
    /// The disk space that making it takes, in MiB.
    pub(super) needs: u64,
    /// The files and directories that are handed out whenever it is made.
    pub(super) output: Made,
    pub(super) make: Arc<Make>,
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl Recipe {
    /// Returns a recipe without parts and inputs. `make` makes the artifact in an empty directory; of what it leaves there,
    /// only what is handed out is kept.
    pub(crate) fn new(
        kind: &'static str,
        title: impl Into<String>,
        make: impl Fn(&Work<'_>) -> Result<Made> + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            title: title.into(),
            parts: Vec::new(),
            log: kind.to_owned(),
            texts: Inputs::default(),
            read: Arc::new(|inputs, _| Ok(inputs)),
            needs: 200,
            output: Made::default(),
            make: Arc::new(make),
        }
    }

    /// Adds artifacts that it is made from.
    pub(crate) fn parts(mut self, parts: impl IntoIterator<Item = Recipe>) -> Self {
        self.parts.extend(parts);
        self
    }

    /// Adds an input, such as a command's arguments.
    pub(crate) fn text(self, name: &str, value: impl Into<String>) -> Self {
        Self { texts: self.texts.text(name, value), ..self }
    }

    /// Adds the inputs that depend on the user's settings and files.
    pub(crate) fn read(self, read: impl Fn(Inputs, &Settings) -> Result<Inputs> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), ..self }
    }

    /// Sets the disk space that making it takes, in MiB.
    pub(crate) fn needs(self, needs: u64) -> Self {
        Self { needs, ..self }
    }

    /// Hands out a file; the first is what [`Artifact::file`] names.
    pub(crate) fn file(self, name: impl Into<PathBuf>) -> Self {
        Self { output: self.output.file(name), ..self }
    }

    /// Hands out a directory; the first is what [`Artifact::tree`] names.
    pub(crate) fn tree(self, name: impl Into<PathBuf>) -> Self {
        Self { output: self.output.tree(name), ..self }
    }

    /// Names the log after what tells artifacts of one kind apart.
    pub(crate) fn logged_as(self, variant: &str) -> Self {
        Self { log: format!("{}-{variant}", self.kind), ..self }
    }
}

/// An artifact that is complete and verified. No run replaces or removes it while this value lives.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
    output: Made,
    _lock: File,
}

impl Artifact {
    /// Returns the artifact of a recipe in `dir`. `lock` is a shared lock on it.
    pub(super) fn new(recipe: &Recipe, dir: PathBuf, manifest: Manifest, lock: File) -> Self {
        Self { dir, manifest, output: recipe.output.clone(), _lock: lock }
    }

    /// Returns the absolute path of something in the artifact.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the file that its recipe hands out.
    pub(crate) fn file(&self) -> PathBuf {
        self.path(&self.output.files[0])
    }

    /// Returns the directory that its recipe hands out.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path(&self.output.trees[0])
    }

    /// Returns what the recipe found out as it made the artifact, such as a version; empty if it did not.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.manifest.facts.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// An artifact in the making: its directory, its log and its parts.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) store: &'a Store,
    pub(crate) settings: &'a Settings,
    pub(crate) log: Log,
    /// The artifact's directory, which is empty at first.
    pub(crate) dir: &'a Path,
    pub(super) parts: &'a [Artifact],
}

impl Work<'_> {
    /// Returns the part of this kind. Panics if the recipe at work does not name it among its parts.
    pub(crate) fn of(&self, kind: &str) -> &Artifact {
        let part = self.parts.iter().find(|part| part.manifest.kind == kind);
        part.unwrap_or_else(|| panic!("{kind} is not among the parts"))
    }

    /// Returns the path of something in the artifact.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes an empty directory in the artifact.
    pub(crate) fn mkdir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.path(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }
}
