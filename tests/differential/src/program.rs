// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's program, and its process from start to end.

use crate::{
    connection::Connection,
    machine::{self, Device},
};
use anyhow::{Context as _, Result, bail};
use papr_unplug_tests::{artifacts::Artifacts, pairing::Side};
use std::{
    fs,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The number of lines at the end of the output that say why a process ended. Before its last line, QEMU says what did not
/// load.
const LAST_WORDS: usize = 4;

/// A QEMU program with its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    qemu: PathBuf,
    data: PathBuf,
    accelerator: &'static str,
    more: Vec<String>,
    absent: Vec<Device>,
    pub(crate) leaves_memory_out: bool,
}

/// The threads of TCG that run the CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One for each CPU.
    Multi,
    /// One for all CPUs.
    Single,
}

/// A QEMU process. Dropping it kills the process; the kernel does so when the thread that started it ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    dir: PathBuf,
    pub(crate) qtest: UnixStream,
    pub(crate) monitor: UnixStream,
}

impl Program {
    /// Returns the QEMU without this project's patches.
    pub fn stock() -> Result<Self> {
        Self::of(&Artifacts::find()?, Side::Stock)
    }

    /// Returns the QEMU with this project's patches.
    pub fn ours() -> Result<Self> {
        Self::of(&Artifacts::find()?, Side::Ours)
    }

    /// Returns the QEMU of one side of a pairing.
    pub fn of(artifacts: &Artifacts, side: Side) -> Result<Self> {
        Ok(Self::new(artifacts.vmm(side)?, &artifacts.qemu_data))
    }

    /// Makes a program from QEMU's path and its firmware directory.
    pub fn new(qemu: &Path, data: &Path) -> Self {
        let (qemu, data) = (qemu.to_path_buf(), data.to_path_buf());
        Self { qemu, data, accelerator: machine::QTEST, more: Vec::new(), absent: Vec::new(), leaves_memory_out: false }
    }

    /// Adds arguments.
    #[must_use]
    pub fn with(mut self, words: &[&str]) -> Self {
        self.more.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Leaves a device out.
    #[must_use]
    pub fn without(mut self, device: Device) -> Self {
        self.absent.push(device);
        self
    }

    /// True if the device is left out, or what it is attached to.
    pub(crate) fn is_without(&self, device: Device) -> bool {
        device.goes_with(&self.absent)
    }

    /// Leaves the memory out of snapshots and migrations: it takes seconds, and no guest has written to it.
    #[must_use]
    pub fn leaving_memory_out(self) -> Self {
        Self { leaves_memory_out: true, ..self }
    }

    /// Runs the CPUs, with this file as the firmware, instead of qtest's accelerator.
    #[must_use]
    pub(crate) fn running(mut self, firmware: &Path, threads: Threads) -> Self {
        self.accelerator = match threads {
            Threads::Multi => "tcg,thread=multi",
            Threads::Single => "tcg,thread=single",
        };
        self.more.extend(["-bios".to_owned(), firmware.display().to_string()]);
        self
    }

    /// Starts the process and waits until the machine is complete.
    pub(crate) fn start(&self) -> Result<Process> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("papr-unplug-differential-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let memory = self.leaves_memory_out.then_some(dir.as_path());
        let listen = |role: &str| UnixListener::bind(dir.join(role)).context("cannot listen for the VMM");
        let (qtest, monitor) = (listen("qtest")?, listen("monitor")?);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.qemu).arg("-L").arg(&self.data);
        command.args(machine::arguments(self.accelerator, &self.absent, memory)).args(&self.more);
        command.arg("-qtest").arg(format!("unix:{}", dir.join("qtest").display()));
        command.args(["-qtest-log", "none", "-qmp"]).arg(format!("unix:{}", dir.join("monitor").display()));
        let output = fs::File::create(dir.join("output"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn().context("cannot run setpriv (Debian: apt install util-linux)")?;
        match accept(&monitor, &mut child).and_then(|monitor| Ok((accept(&qtest, &mut child)?, monitor))) {
            Ok((qtest, monitor)) => Ok(Process { child, dir, qtest, monitor }),
            Err(error) => {
                let said = fs::read_to_string(dir.join("output")).unwrap_or_default();
                let _ = child.kill();
                let _ = child.wait();
                let _ = fs::remove_dir_all(&dir);
                Err(error.context(format!("{} did not start: {}", self.qemu.display(), said.trim())))
            }
        }
    }
}

/// Waits for the VMM's connection. Fails if the VMM ends.
pub fn accept(listener: &UnixListener, vmm: &mut Child) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot accept the VMM's connection"),
        }
        if vmm.try_wait()?.is_some() {
            bail!("it ended at once");
        }
        std::thread::yield_now();
    }
}

impl Process {
    /// Makes a connection from one of the process's sockets.
    pub(crate) fn connection(&self, socket: &UnixStream) -> Result<Connection> {
        Ok(Connection::waking(socket.try_clone()?, &self.child)?)
    }

    /// Returns the process's directory, which is removed with the process.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("it occupies no memory")?;
        line.trim().trim_end_matches(" kB").parse().context("an unexpected amount of memory")
    }

    /// Returns everything that the process has written to its standard streams.
    pub(crate) fn output(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.join("output"))?)
    }

    /// Waits for the end of the process and returns its exit status and the end of its output.
    pub(crate) fn last_words(&mut self) -> Result<String> {
        let status = self.child.wait().context("cannot wait for the VMM")?;
        let output = fs::read_to_string(self.dir.join("output")).unwrap_or_default();
        let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
        Ok(format!("{status}: {}", if last.is_empty() { "no last words" } else { &last }))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
