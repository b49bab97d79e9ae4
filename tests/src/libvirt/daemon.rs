// SPDX-License-Identifier: MIT OR Apache-2.0

//! libvirtd, and `virsh` as its client.

use crate::{
    deadline::Deadline,
    stream::{lines::Lines, log_file::LogFile},
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    env, fmt,
    fs::{self, File},
    io::Write as _,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Environment variable with the command that enters libvirt's root file system; `cargo xtask libvirt` sets it. Inside,
/// the host's files are below [`HOST`]. Only the directory that the command's first argument names is writable, as
/// [`STATE`].
pub const VARIABLE: &str = "PAPR_UNPLUG_LIBVIRT";
/// Directory of the host's files inside.
pub const HOST: &str = "/host";
/// Writable directory inside.
pub const STATE: &str = "/state";

/// Running libvirtd. Dropping it ends libvirtd and everything that it has started.
#[derive(Debug)]
pub struct Daemon {
    enter: PathBuf,
    state: PathBuf,
    log_file: LogFile,
    child: Child,
    /// Standard output of the shell that started the daemon.
    lines: Lines,
}

/// Result of a `virsh` command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Virsh {
    /// Success, with the output.
    Done(String),
    /// Failure, with the error output.
    Failed(String),
}

impl Daemon {
    /// Returns the command that enters the root file system of the libvirt under test.
    pub fn under_test() -> Result<PathBuf> {
        let enter =
            env::var_os(VARIABLE).with_context(|| format!("{VARIABLE} is not set: run `cargo xtask libvirt`"))?;
        Ok(enter.into())
    }

    /// Starts a daemon that knows no domains, by the command that enters libvirt's root. Its state and its own log go to
    /// `logs`, commands and their results to `log_file`.
    pub fn start(enter: &Path, logs: &Path, log_file: LogFile) -> Result<Self> {
        let state = logs.join("state");
        let configuration = state.join("etc/libvirt");
        fs::create_dir_all(&configuration)?;
        // Logs need no second daemon (virtlogd) here, and tests need no seccomp filter.
        fs::write(configuration.join("qemu.conf"), "stdio_handler = \"file\"\nseccomp_sandbox = 0\n")?;
        fs::write(configuration.join("libvirtd.conf"), format!("log_outputs = \"3:file:{STATE}/libvirtd.log\"\n"))?;

        let log = File::create(logs.join("libvirtd.log"))?;
        let mut command = entering(enter, &state);
        // libvirtd daemonizes once it accepts connections. The process that started it must stay, or the sandbox ends.
        command.args([
            "sh",
            "-c",
            "libvirtd --daemon && echo ready; while read -r line; do eval \"$line\" && echo ready; done",
        ]);
        let (near, far) = UnixStream::pair()?;
        command.stdin(Stdio::piped()).stdout(OwnedFd::from(far)).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot run {}", enter.display()))?;
        drop(command);
        let lines = Lines::of(&near, |_| {})?;
        let daemon = Self { enter: enter.to_owned(), state, log_file, child, lines };
        daemon.await_shell().with_context(|| format!("see {}", logs.join("libvirtd.log").display()))?;
        Ok(daemon)
    }

    /// Stops libvirtd, and leaves its domains running.
    pub fn stop(&mut self) -> Result<()> {
        self.sh("pid=$(cat $XDG_RUNTIME_DIR/libvirt/libvirtd.pid); kill $pid; while kill -0 $pid; do sleep 0.1; done")
    }

    /// Starts libvirtd again.
    pub fn start_again(&mut self) -> Result<()> {
        self.sh("libvirtd --daemon")
    }

    /// Kills the QEMU of a domain.
    pub fn kill_qemu(&mut self, domain: &str) -> Result<()> {
        self.sh(&format!("kill -9 $(cat $XDG_RUNTIME_DIR/libvirt/qemu/run/{domain}.pid)"))
    }

    /// Runs a line of shell where libvirtd runs.
    fn sh(&mut self, line: &str) -> Result<()> {
        self.log_file.add(&format!("# {line}"));
        let stdin = self.child.stdin.as_mut().context("the shell has no input")?;
        writeln!(stdin, "{line}")?;
        self.await_shell().with_context(|| format!("running {line}"))
    }

    fn await_shell(&self) -> Result<()> {
        match self.lines.next(Deadline::start()) {
            Ok(line) if line.text == "ready" => Ok(()),
            other => bail!("the shell beside libvirtd does not say that it is ready ({other:?})"),
        }
    }

    /// Returns a command that runs one of the host's programs beside libvirtd. It starts no daemon of its own.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let mut command = self.entering();
        command.args(["env", "LIBVIRT_AUTOSTART=0", &inside(program)?]);
        Ok(command)
    }

    /// Runs a `virsh` command.
    pub fn virsh(&self, words: &[&str]) -> Result<Virsh> {
        self.log_file.add(&format!("$ virsh {}", words.join(" ")));
        let output = self.entering().arg("virsh").args(words).stdin(Stdio::null()).output()?;
        let result = if output.status.success() {
            Virsh::Done(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Virsh::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        };
        self.log_file.add(&result.to_string());
        Ok(result)
    }

    /// Runs a `virsh` command and returns its output. Fails if the command fails.
    pub fn virsh_done(&self, words: &[&str]) -> Result<String> {
        match self.virsh(words)? {
            Virsh::Done(text) => Ok(text),
            Virsh::Failed(error) => bail!("virsh {}: {error}", words.join(" ")),
        }
    }

    /// Starts a `virsh` command and returns its process and its lines.
    pub(crate) fn follow(&self, words: &[&str], log_file: LogFile) -> Result<(Child, Lines)> {
        let (near, far) = UnixStream::pair()?;
        let mut command = self.entering();
        command.arg("virsh").args(words).stdin(Stdio::null()).stdout(OwnedFd::from(far)).stderr(Stdio::null());
        let child = command.spawn().context("cannot run virsh")?;
        Ok((child, Lines::of(&near, move |line| log_file.add(line))?))
    }

    /// Writes a file to [`STATE`].
    pub fn put(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.state.join(name), content).with_context(|| format!("cannot write {name}"))
    }

    /// Connects to a socket in [`STATE`].
    pub fn connect(&self, socket: &str) -> Result<UnixStream> {
        // The path of a socket is limited to 108 bytes; that of its directory is not.
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

/// Returns the path of one of the host's files inside.
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
    /// Returns whether the command failed with an error that contains `words`.
    pub fn has_failed_with(&self, words: &str) -> bool {
        matches!(self, Self::Failed(error) if error.contains(words))
    }
}
