// SPDX-License-Identifier: MIT OR Apache-2.0

//! Source files of the guest module.

use crate::cache::manifest::Inputs;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// Returns the files that Kbuild may read, below the checkout.
fn sources(checkout: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("Kbuild")];
    for dir in ["guest-module", "spec/wire/src"] {
        for entry in WalkDir::new(checkout.join(dir)).sort_by_file_name() {
            let entry = entry.with_context(|| format!("cannot read {dir}"))?;
            let path = entry.path();
            let source = path.extension().is_some_and(|suffix| ["rs", "c", "h", "S"].iter().any(|s| suffix == *s));
            if source || entry.file_name() == "Kbuild" {
                files.push(path.strip_prefix(checkout)?.to_path_buf());
            }
        }
    }
    Ok(files)
}

/// Adds the files to the inputs of a recipe.
pub(crate) fn with_sources(mut inputs: Inputs, checkout: &Path) -> Result<Inputs> {
    for file in sources(checkout)? {
        inputs = inputs.file(file.display().to_string(), &checkout.join(&file))?;
    }
    Ok(inputs)
}

/// Copies the files to the same paths below `stage`.
pub(crate) fn stage_sources(checkout: &Path, stage: &Path) -> Result<()> {
    for file in sources(checkout)? {
        let to = stage.join(&file);
        fs::create_dir_all(to.parent().unwrap_or(stage))?;
        fs::copy(checkout.join(&file), &to).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}
