// SPDX-License-Identifier: MIT OR Apache-2.0

//! Manifest of an artifact, `manifest.json`: what it was made from, and the files that it consists of.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// The name of the manifest inside an artifact's directory.
pub(crate) const FILE_NAME: &str = "manifest.json";

/// Everything that an artifact's content depends on, as pairs of name and value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Adds a value, such as a command's arguments.
    #[must_use]
    pub(crate) fn text(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Adds a file by the sha256 of its bytes.
    pub(crate) fn file(self, name: impl Into<String>, path: &Path) -> Result<Self> {
        Ok(self.text(name, sha256_of(path)?))
    }

    /// Returns the key of the artifact: 20 hexadecimal digits of a hash of these inputs.
    pub(crate) fn key(&self) -> String {
        let mut hash = Sha256::new();
        for (name, value) in &self.0 {
            for part in [name, value] {
                // By the lengths, ("ab", "c") and ("a", "bc") have different hashes.
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        let mut key = hex(&hash.finalize());
        key.truncate(20);
        key
    }
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    size: u64,
    sha256: String,
}

/// An artifact that this one was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) identity: String,
}

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) inputs: Inputs,
    /// The artifacts that this one was made from, with their identities at that time.
    pub(crate) made_from: Vec<Part>,
    /// Facts that the recipe found out, such as versions.
    pub(crate) facts: BTreeMap<String, String>,
    /// The files that are handed out, by path below the artifact's directory.
    files: BTreeMap<PathBuf, Entry>,
    /// The directories that later steps read, each with a digest of the paths, sizes and modification times in it.
    trees: BTreeMap<PathBuf, String>,
}

impl Manifest {
    /// Returns the manifest of what was made in `dir`.
    pub(crate) fn of(dir: &Path, kind: &str, inputs: Inputs, made_from: Vec<Part>, made: Made) -> Result<Self> {
        let mut files = BTreeMap::new();
        for name in made.files {
            let path = dir.join(&name);
            let size = path.metadata().with_context(|| format!("{} was not made", path.display()))?.len();
            files.insert(name, Entry { size, sha256: sha256_of(&path)? });
        }
        let mut trees = BTreeMap::new();
        for name in made.trees {
            let digest = tree_digest(&dir.join(&name))?;
            trees.insert(name, digest);
        }
        let key = inputs.key();
        Ok(Self { kind: kind.to_owned(), key, inputs, made_from, facts: made.facts, files, trees })
    }

    /// Reads the manifest in `dir`. Returns `None` if the file does not exist.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE_NAME);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display())).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the manifest into `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(dir.join(FILE_NAME), text).with_context(|| format!("cannot write to {}", dir.display()))
    }

    /// Compares the files and directories in `dir` with the manifest. The error names the first difference.
    pub(crate) fn verify(&self, dir: &Path) -> Result<(), String> {
        for (name, entry) in &self.files {
            let path = dir.join(name);
            let name = name.display();
            let size = match path.metadata() {
                Ok(found) => found.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(format!("{name} is missing")),
                Err(error) => return Err(format!("{name} cannot be read ({error})")),
            };
            if size != entry.size {
                return Err(format!("{name} has {size} bytes, not the {} it was made with", entry.size));
            }
            let digest = sha256_of(&path).map_err(|error| format!("{name} cannot be read ({error:#})"))?;
            if digest != entry.sha256 {
                return Err(format!("{name} was changed after it was made (its sha256 differs)"));
            }
        }
        for (name, digest) in &self.trees {
            match tree_digest(&dir.join(name)) {
                Ok(found) if found == *digest => {}
                Ok(_) => return Err(format!("files below {}/ were changed after it was made", name.display())),
                Err(error) => return Err(format!("{}/ cannot be read ({error:#})", name.display())),
            }
        }
        Ok(())
    }

    /// Returns the record of the artifact in the manifests of those that are made from it.
    pub(super) fn part(&self) -> Part {
        Part { kind: self.kind.clone(), key: self.key.clone(), identity: self.identity() }
    }

    /// Returns a hash of everything that later steps depend on, which modification times are not.
    pub(crate) fn identity(&self) -> String {
        let mut hash = Sha256::new();
        for part in [
            serde_json::json!(self.inputs),
            serde_json::json!(self.made_from),
            serde_json::json!(self.facts),
            serde_json::json!(self.files),
        ] {
            hash.update(part.to_string());
            hash.update([0]);
        }
        hex(&hash.finalize())
    }
}

/// The output of a recipe. Paths are relative to the artifact's directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made {
    facts: BTreeMap<String, String>,
    pub(super) files: Vec<PathBuf>,
    pub(super) trees: Vec<PathBuf>,
}

impl Made {
    /// Records what the recipe has found out.
    pub(crate) fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.insert(name.into(), value.into());
        self
    }

    /// Hands out a file.
    pub(crate) fn file(mut self, name: impl Into<PathBuf>) -> Self {
        self.files.push(name.into());
        self
    }

    /// Hands out a directory.
    pub(crate) fn tree(mut self, name: impl Into<PathBuf>) -> Self {
        self.trees.push(name.into());
        self
    }

    /// Adds what a recipe hands out whenever it is made.
    pub(super) fn with(mut self, output: &Self) -> Self {
        self.files.extend(output.files.iter().cloned());
        self.trees.extend(output.trees.iter().cloned());
        self
    }

    /// Returns whether something directly in the artifact's directory is handed out, or has in it what is.
    pub(super) fn has(&self, name: &Path) -> bool {
        self.files.iter().chain(&self.trees).any(|path| path.starts_with(name))
    }
}

/// Returns the sha256 of a file's content, in hexadecimal digits.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let read = || {
        let mut hash = Sha256::new();
        io::copy(&mut File::open(path)?, &mut hash)?;
        io::Result::Ok(hex(&hash.finalize()))
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Returns a digest of the path, size and modification time of each entry below `root`. No file is read.
fn tree_digest(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for entry in WalkDir::new(root).sort_by_file_name().min_depth(1) {
        let entry = entry?;
        let found = entry.metadata()?;
        hash.update(entry.path().strip_prefix(root)?.as_os_str().as_encoded_bytes());
        // The size and time of a directory itself differ between file systems; its entries are in the digest.
        if !found.is_dir() {
            hash.update(format!("\0{} {}.{}", found.len(), found.mtime(), found.mtime_nsec()));
        }
        hash.update([0]);
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(dir: &Path) -> Manifest {
        let made = Made::default().file("image").tree("tree");
        Manifest::of(dir, "kernel", Inputs::default().text("a", "b"), Vec::new(), made).unwrap()
    }

    fn artifact() -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("image"), "bytes").unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        fs::write(dir.path().join("tree/header.h"), "1").unwrap();
        let manifest = manifest(dir.path());
        (dir, manifest)
    }

    #[test]
    fn key_moves_with_every_input_and_does_not_confuse_where_a_name_ends() {
        let inputs = Inputs::default().text("suite", "forky");
        assert_eq!(inputs.key().len(), 20);
        assert_ne!(inputs.key(), Inputs::default().text("suite", "sid").key());
        assert_ne!(inputs.key(), inputs.text("more", "").key());
        assert_ne!(Inputs::default().text("ab", "c").key(), Inputs::default().text("a", "bc").key());
    }

    #[test]
    fn manifest_is_read_back_or_missing_or_damaged() {
        let (dir, manifest) = artifact();
        assert!(Manifest::read(dir.path()).unwrap().is_none());
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap().unwrap(), manifest);
        assert_eq!(manifest.verify(dir.path()), Ok(()));
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(format!("{:#}", Manifest::read(dir.path()).unwrap_err()).contains("is damaged"));
    }

    #[test]
    fn verify_finds_changed_truncated_and_missing_files_and_additions_to_a_tree() {
        let (dir, manifest) = artifact();
        let found = |complaint: &str| assert!(manifest.verify(dir.path()).unwrap_err().contains(complaint));
        fs::write(dir.path().join("image"), "bytez").unwrap();
        found("image was changed");
        fs::write(dir.path().join("image"), "byte").unwrap();
        found("has 4 bytes, not the 5");
        fs::remove_file(dir.path().join("image")).unwrap();
        found("image is missing");
        fs::write(dir.path().join("image"), "bytes").unwrap();
        fs::write(dir.path().join("tree/other.h"), "").unwrap();
        found("below tree/");
    }

    #[test]
    fn identity_follows_content_but_not_tree_times() {
        let (dir, before) = artifact();
        fs::write(dir.path().join("tree/other.h"), "").unwrap();
        assert_eq!(manifest(dir.path()).identity(), before.identity());
        fs::write(dir.path().join("image"), "other").unwrap();
        assert_ne!(manifest(dir.path()).identity(), before.identity());
    }
}
