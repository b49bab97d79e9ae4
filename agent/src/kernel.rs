// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paths of the kernel's file systems.

use std::path::{Path, PathBuf};

/// File systems of a kernel. Tests have directories in their place.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    root: PathBuf,
}

impl Kernel {
    /// Returns the kernel that runs.
    pub(crate) fn running() -> Self {
        Self { root: "/".into() }
    }

    /// Returns a kernel whose file systems are below a directory.
    #[cfg(test)]
    pub(crate) fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns a path in `/dev`.
    pub(crate) fn dev(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join("dev").join(path)
    }

    /// Returns a path in `/proc`.
    pub(crate) fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join("proc").join(path)
    }

    /// Returns a path in `/sys`.
    pub(crate) fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join("sys").join(path)
    }
}
