// SPDX-License-Identifier: MIT OR Apache-2.0

//! The daemon, and the command that talks to it.

use crate::{
    deadline::Deadline,
    stream::{lines::Lines, log_file::LogFile},
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    env, fmt,
    fs::{self, File},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The environment variable that names the command by which libvirt's own file system is entered; `cargo xtask libvirt`
/// sets it. Inside, the host's files are at [`HOST`], and only the directory that is named first can be written to, at
/// [`STATE`].
pub const VARIABLE: &str = "PAPR_UNPLUG_LIBVIRT";
/// Where the host's files are.
pub const HOST: &str = "/host";
/// Where the state is.
pub const STATE: &str = "/state";

/// A running libvirtd. It ends with everything that it has started when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    enter: PathBuf,
    state: PathBuf,
    journal: LogFile,
    child: Child,
}

/// What `virsh` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Virsh {
    /// What it printed.
    Done(String),
    /// What it complained about.
    Failed(String),
}

impl Daemon {
    /// Starts a daemon that knows no domains. Its state and its log stay in `logs`; the journal gets the commands.
    pub fn start(logs: &Path, journal: LogFile) -> Result<Self> {
        let enter =
            env::var_os(VARIABLE).with_context(|| format!("{VARIABLE} is not set: run `cargo xtask libvirt`"))?;
        let state = logs.join("state");
        let configuration = state.join("etc/libvirt");
        fs::create_dir_all(&configuration)?;
        // No second daemon is needed to write a log, and nothing here is to be protected from QEMU.
        fs::write(configuration.join("qemu.conf"), "stdio_handler = \"file\"\nseccomp_sandbox = 0\n")?;
        fs::write(configuration.join("libvirtd.conf"), format!("log_outputs = \"3:file:{STATE}/libvirtd.log\"\n"))?;

        let log = File::create(logs.join("libvirtd.log"))?;
        let mut command = entering(enter.as_ref(), &state);
        // libvirtd goes into the background when it can be talked to. Who started it must stay, or all of it ends.
        command.args(["sh", "-c", "libvirtd --daemon && echo ready && exec cat"]);
        let (near, far) = UnixStream::pair()?;
        command.stdin(Stdio::piped()).stdout(OwnedFd::from(far)).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot run {}", enter.display()))?;
        drop(command);
        let daemon = Self { enter: enter.into(), state, journal, child };
        match Lines::of(&near, |_| {})?.next(Deadline::start()) {
            Ok(line) if line.text == "ready" => Ok(daemon),
            other => bail!("libvirtd does not start ({other:?}); see {}", logs.join("libvirtd.log").display()),
        }
    }

    /// Runs `virsh` to its end.
    pub fn virsh(&self, words: &[&str]) -> Result<Virsh> {
        self.journal.add(&format!("$ virsh {}", words.join(" ")));
        let output = self.entering().arg("virsh").args(words).stdin(Stdio::null()).output()?;
        let told = if output.status.success() {
            Virsh::Done(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Virsh::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        };
        self.journal.add(&told.to_string());
        Ok(told)
    }

    /// Runs `virsh`, which must succeed; gives what it printed.
    pub fn virsh_done(&self, words: &[&str]) -> Result<String> {
        match self.virsh(words)? {
            Virsh::Done(text) => Ok(text),
            Virsh::Failed(error) => bail!("virsh {}: {error}", words.join(" ")),
        }
    }

    /// Lets `virsh` run on; gives the process and its lines.
    pub(crate) fn follow(&self, words: &[&str], journal: LogFile) -> Result<(Child, Lines)> {
        let (near, far) = UnixStream::pair()?;
        let mut command = self.entering();
        command.arg("virsh").args(words).stdin(Stdio::null()).stdout(OwnedFd::from(far)).stderr(Stdio::null());
        let child = command.spawn().context("cannot run virsh")?;
        Ok((child, Lines::of(&near, move |line| journal.add(line))?))
    }

    /// Writes a file that commands find in [`STATE`].
    pub fn put(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.state.join(name), content).with_context(|| format!("cannot write {name}"))
    }

    /// Connects to a socket in [`STATE`].
    pub fn connect(&self, socket: &str) -> Result<UnixStream> {
        // Through its directory, for a socket's path must be short and a checkout's may be long.
        let directory = File::open(&self.state)?;
        let path = format!("/proc/self/fd/{}/{socket}", directory.as_raw_fd());
        UnixStream::connect(path).with_context(|| format!("cannot connect to {socket}"))
    }

    fn entering(&self) -> Command {
        entering(&self.enter, &self.state)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a file of the host is called inside.
pub(crate) fn inside(file: &Path) -> Result<String> {
    let file = file.to_str().context("the path of an artifact is no UTF-8")?;
    ensure!(file.starts_with('/') && !file.contains(['<', '&', '\'']), "{file} cannot be named in a domain's XML");
    Ok(format!("{HOST}{file}"))
}

fn entering(enter: &Path, state: &Path) -> Command {
    let mut command = Command::new(enter);
    command.arg(state);
    command
}

impl fmt::Display for Virsh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Done(text) | Self::Failed(text)) = self;
        f.write_str(text)
    }
}

impl Virsh {
    /// Whether it complained, with these words among others.
    pub fn has_failed_with(&self, words: &str) -> bool {
        matches!(self, Self::Failed(error) if error.contains(words))
    }
}
