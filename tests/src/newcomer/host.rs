// SPDX-License-Identifier: MIT OR Apache-2.0

//! A host's root, in which commands run without privilege and without network.

use crate::guest::marker::Output;
use anyhow::{Context as _, Result, ensure};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Root of a host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Directory of the root. It is written to.
    pub tree: PathBuf,
    /// Directory that is `/run` there.
    pub run: PathBuf,
    /// Directory that is the working directory there. It is not written to.
    pub packages: PathBuf,
}

impl Host {
    /// Runs a command of root's shell and returns its output, with its errors.
    pub fn run(&self, command: &str) -> Result<Output> {
        let mut enter = Command::new("bwrap");
        enter.args(["--die-with-parent", "--unshare-all", "--unshare-user", "--uid", "0", "--gid", "0"]);
        enter.args(["--cap-add", "ALL", "--hostname", "host", "--bind"]).arg(&self.tree).arg("/");
        enter.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind"]).arg(&self.run).arg("/run");
        enter.arg("--ro-bind").arg(&self.packages).args(["/mnt", "--chdir", "/mnt", "--clearenv"]);
        for variable in ["PATH=/usr/sbin:/usr/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"] {
            let (name, value) = variable.split_once('=').unwrap_or_default();
            enter.args(["--setenv", name, value]);
        }
        let script = format!("exec 2>&1; {command}");
        let output = enter.args(["--", "/bin/sh", "-c", &script]).stdin(Stdio::null()).output();
        let output = output.context("cannot run bwrap (Debian: apt install bubblewrap)")?;
        ensure!(output.stderr.is_empty(), "bwrap: {}", String::from_utf8_lossy(&output.stderr));
        let status = output.status.code().and_then(|code| u8::try_from(code).ok()).context("bwrap was killed")?;
        Ok(Output { text: String::from_utf8_lossy(&output.stdout).into_owned(), status })
    }
}
