// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running a command inside the build root, at paths that are the same on every machine, without network or privilege.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories of the root that exist only to be mounted on.
pub(crate) const MOUNT_POINTS: [&str; 3] = [SOURCE, BUILD, WORK];

/// Where a kernel's source is seen.
pub(crate) const SOURCE: &str = "/src";
/// Where a kernel's build tree is seen.
pub(crate) const BUILD: &str = "/build";
/// Where anything else that a command makes is seen.
pub(crate) const WORK: &str = "/work";

/// A view of files to run commands in.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    root: PathBuf,
    root_flag: &'static str,
    mounts: Vec<(&'static str, PathBuf, &'static str)>,
    capabilities: &'static [&'static str],
}

impl Sandbox {
    /// The build root, read-only.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), root_flag: "--ro-bind", mounts: Vec::new(), capabilities: &[] }
    }

    /// The build root while it is being made.
    pub(crate) fn writable(root: &Path) -> Self {
        Self { root_flag: "--bind", ..Self::new(root) }
    }

    /// Shows a directory of the host at a mount point, unchangeable.
    #[must_use]
    pub(crate) fn bind_read_only(mut self, from: &Path, at: &'static str) -> Self {
        self.mounts.push(("--ro-bind", from.to_path_buf(), at));
        self
    }

    /// Shows a directory of the host at a mount point, to write to.
    #[must_use]
    pub(crate) fn bind(mut self, from: &Path, at: &'static str) -> Self {
        self.mounts.push(("--bind", from.to_path_buf(), at));
        self
    }

    /// Lets commands do what root may, to the files and in the namespaces of the sandbox.
    #[must_use]
    pub(crate) fn with_all_capabilities(self) -> Self {
        Self { capabilities: &["--cap-add", "ALL"], ..self }
    }

    /// A command that runs inside. Everything it starts ends with it, and it ends with this process.
    pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("bwrap");
        command.args([
            "--die-with-parent",
            "--unshare-all",
            "--unshare-user",
            "--uid",
            "0",
            "--gid",
            "0",
            "--hostname",
            "papr-unplug",
        ]);
        command.arg(self.root_flag).arg(&self.root).arg("/");
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

/// Builds see nothing of the user's environment, and stamp nothing of the machine into what they make.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/sbin:/usr/bin"),
    ("HOME", "/tmp"),
    ("LC_ALL", "C.UTF-8"),
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    ("KBUILD_BUILD_USER", "builder"),
    ("KBUILD_BUILD_HOST", "papr-unplug"),
    ("KBUILD_BUILD_VERSION", "1"),
];
