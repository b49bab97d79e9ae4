// SPDX-License-Identifier: MIT OR Apache-2.0

//! Patches for the kernel, QEMU and libvirt, each applied only to a source that still needs it.
//!
//! Below the `---` line of a patch, which `git am` ignores, a line says which sources do not need it:
//! `papr-unplug: not where PATH has "TEXT"`.

use crate::run::{Log, SOURCE, Sandbox, WORK};
use anyhow::{Context, Result};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

const CONDITION: &str = "papr-unplug: not where ";

/// A patch file.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) path: PathBuf,
    condition: Option<Condition>,
}

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    file: PathBuf,
    text: String,
}

impl Patch {
    /// Reads all patches in `dir`, in the order of their names.
    pub(crate) fn series(dir: &Path) -> Result<Vec<Self>> {
        let mut patches = Vec::new();
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("patch")) {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let condition = condition(&text).with_context(|| format!("{}: bad condition", path.display()))?;
                patches.push(Self { path, condition });
            }
        }
        patches.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(patches)
    }

    /// Applies the patch to the source in `tree`, by the tools of the root in `sandbox`.
    pub(crate) fn apply(&self, log: &Log, sandbox: &Sandbox, tree: &Path) -> Result<()> {
        let dir = self.path.parent().context("a patch without a directory")?;
        let sandbox = sandbox.clone().bind_read_only(dir, WORK).bind(tree, SOURCE);
        apply(log, &sandbox, &self.name(), &format!("{WORK}/{}", self.name()))
    }

    /// Applies those patches that the source in `tree` still needs.
    pub(crate) fn apply_all(log: &Log, sandbox: &Sandbox, patches: &[Self], tree: &Path) -> Result<()> {
        patches.iter().filter(|patch| patch.is_needed(tree)).try_for_each(|patch| patch.apply(log, sandbox, tree))
    }

    /// Returns the file's name.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns whether the source in `tree` lacks what the patch adds.
    pub(crate) fn is_needed(&self, tree: &Path) -> bool {
        let Some(Condition { file, text }) = &self.condition else { return true };
        !fs::read_to_string(tree.join(file)).is_ok_and(|content| content.contains(text))
    }
}

/// Applies a patch, at `path` in the sandbox, to the source in the sandbox.
pub(crate) fn apply(log: &Log, sandbox: &Sandbox, name: &str, path: &str) -> Result<()> {
    let words = ["patch", "-d", SOURCE, "-p1", "--forward", "--no-backup-if-mismatch", "-i", path];
    log.run(&format!("applying {name}"), &mut sandbox.command(words))
}

fn condition(patch: &str) -> Result<Option<Condition>> {
    let Some(line) = patch.lines().find_map(|line| line.strip_prefix(CONDITION)) else { return Ok(None) };
    let (file, text) = line.split_once(" has \"").context("no ` has \"...\"`")?;
    let text = text.trim_end().strip_suffix('"').context("no closing quote")?;
    Ok(Some(Condition { file: file.into(), text: text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_is_read_and_a_torn_one_refused() {
        let found = condition("Subject: x\n---\npapr-unplug: not where a/b.h has \"A B\"\n\ndiff").unwrap().unwrap();
        assert_eq!(found, Condition { file: "a/b.h".into(), text: "A B".to_owned() });
        assert!(condition("papr-unplug: not where a/b.h has \"A\n").is_err());
        assert_eq!(condition("Subject: x\n---\n").unwrap(), None);
    }

    #[test]
    fn is_needed_until_the_source_has_the_text() {
        let tree = tempfile::tempdir().unwrap();
        let patch =
            Patch { path: "p".into(), condition: Some(Condition { file: "bug.h".into(), text: "WARN".to_owned() }) };
        assert!(patch.is_needed(tree.path()));
        fs::write(tree.path().join("bug.h"), "#define WARN\n").unwrap();
        assert!(!patch.is_needed(tree.path()));
    }
}
