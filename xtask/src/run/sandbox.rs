// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bubblewrap sandbox: a command in a root of its own, at paths that are the same on every machine, without network or
//! privilege.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Mount points that every root has.
pub(crate) const MOUNT_POINTS: [&str; 3] = [SOURCE, BUILD, WORK];

/// Mount point of a source tree.
pub(crate) const SOURCE: &str = "/src";
/// Mount point of a build tree.
pub(crate) const BUILD: &str = "/build";
/// Mount point of a directory for other output.
pub(crate) const WORK: &str = "/work";

/// A root directory with further directories mounted in it.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    root: PathBuf,
    root_flag: &'static str,
    mounts: Vec<(&'static str, PathBuf, &'static str)>,
    capabilities: &'static [&'static str],
}

impl Sandbox {
    /// Mounts `root` at `/`, read-only.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), root_flag: "--ro-bind", mounts: Vec::new(), capabilities: &[] }
    }

    /// Mounts `root` at `/`, writable.
    pub(crate) fn writable(root: &Path) -> Self {
        Self { root_flag: "--bind", ..Self::new(root) }
    }

    /// Mounts the host's directory `from` at `at`, read-only.
    #[must_use]
    pub(crate) fn bind_read_only(mut self, from: &Path, at: &'static str) -> Self {
        self.mounts.push(("--ro-bind", from.to_path_buf(), at));
        self
    }

    /// Mounts the host's directory `from` at `at`, writable.
    #[must_use]
    pub(crate) fn bind(mut self, from: &Path, at: &'static str) -> Self {
        self.mounts.push(("--bind", from.to_path_buf(), at));
        self
    }

    /// Gives commands all capabilities within the sandbox's namespaces.
    #[must_use]
    pub(crate) fn with_all_capabilities(self) -> Self {
        Self { capabilities: &["--cap-add", "ALL"], ..self }
    }

    /// Returns a command that runs inside. All of its processes end when it ends, and it ends when this process does.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("bwrap");
        command.args(OPTIONS.split(' ')).arg(self.root_flag).arg(&self.root).arg("/");
        command.args(["--dev", "/dev", "--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp"]);
        for (flag, from, at) in &self.mounts {
            command.arg(flag).arg(from).arg(at);
        }
        command.args(self.capabilities).arg("--clearenv");
        for (name, value) in ENVIRONMENT {
            command.args(["--setenv", name, value]);
        }
        command.arg("--").args(words);
        command
    }
}

const OPTIONS: &str = "--die-with-parent --unshare-all --unshare-user --uid 0 --gid 0 --hostname papr-unplug";

/// The whole environment of commands. The `KBUILD_` variables keep this machine's name and time out of kernels.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/sbin:/usr/bin"),
    ("HOME", "/tmp"),
    ("LC_ALL", "C.UTF-8"),
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    ("KBUILD_BUILD_USER", "builder"),
    ("KBUILD_BUILD_HOST", "papr-unplug"),
    ("KBUILD_BUILD_VERSION", "1"),
];
