// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files of the checkout that an artifact is made from.

use crate::cache::Inputs;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// Files, as paths below the checkout.
#[derive(Debug)]
pub(crate) struct Sources {
    checkout: PathBuf,
    files: Vec<PathBuf>,
}

impl Sources {
    /// Returns these files.
    pub(crate) fn new(checkout: &Path, files: &[&str]) -> Self {
        Self { checkout: checkout.to_path_buf(), files: files.iter().map(PathBuf::from).collect() }
    }

    /// Returns the files of the guest module that Kbuild may read.
    pub(crate) fn of_module(checkout: &Path) -> Result<Self> {
        let is_source = |path: &Path| {
            path.file_name() == Some("Kbuild".as_ref())
                || path.extension().is_some_and(|suffix| ["rs", "c", "h", "S"].iter().any(|s| suffix == *s))
        };
        Self::new(checkout, &["Kbuild"]).with("guest-module", is_source)?.with("spec/wire/src", is_source)
    }

    /// Adds the files below a directory that `is_source` takes.
    pub(crate) fn with(mut self, dir: &str, is_source: impl Fn(&Path) -> bool) -> Result<Self> {
        for entry in WalkDir::new(self.checkout.join(dir)).sort_by_file_name() {
            let entry = entry.with_context(|| format!("cannot read {dir}"))?;
            if entry.file_type().is_file() && is_source(entry.path()) {
                self.files.push(entry.path().strip_prefix(&self.checkout)?.to_path_buf());
            }
        }
        Ok(self)
    }

    /// Adds the files to the inputs of a recipe.
    pub(crate) fn add_to(&self, inputs: Inputs) -> Result<Inputs> {
        self.files
            .iter()
            .try_fold(inputs, |inputs, file| inputs.file(file.display().to_string(), &self.checkout.join(file)))
    }

    /// Copies the files to the same paths below `stage`.
    pub(crate) fn copy_to(&self, stage: &Path) -> Result<()> {
        for file in &self.files {
            let to = stage.join(file);
            fs::create_dir_all(to.parent().unwrap_or(stage))?;
            fs::copy(self.checkout.join(file), &to).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        Ok(())
    }
}
