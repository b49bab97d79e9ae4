// SPDX-License-Identifier: MIT OR Apache-2.0

//! The VMM: its command line, its process, and the three streams that tie it to us.

use crate::{artifacts::Artifacts, deadline::Deadline, pairing::Side};
use anyhow::{Context as _, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    fs::{self, File},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// What the guest is given: one CPU of four, 2 GiB, four slots for DIMMs, and a second NUMA node that is empty until a
/// DIMM comes.
///
/// A guest that panics or resets ends the VMM (`-no-reboot`), and so every wait.
const MACHINE: &str = "\
    -machine pseries -accel tcg,thread=multi -cpu power9 -smp 1,maxcpus=4 -m 2G,slots=4,maxmem=8G \
    -object memory-backend-ram,id=ram0,size=2G -numa node,nodeid=0,cpus=0-3,memdev=ram0 -numa node,nodeid=1 \
    -nodefaults -nographic -no-reboot";

/// The kernel log on the first console, and the first oops ends it all.
const KERNEL_ARGUMENTS: &str = "console=hvc0 oops=panic panic=-1";

/// A running VMM. It is killed when this is dropped, and by the kernel when the thread that started it ends.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    /// The guest's first console, which has the kernel log.
    pub console: UnixStream,
    /// The guest's second console, which has a shell.
    pub shell: UnixStream,
    /// QMP.
    pub monitor: UnixStream,
}

impl Qemu {
    /// Starts a VMM whose guest boots at once. `logs` gets its own output, the kernel log, and the command line.
    pub fn start(artifacts: &Artifacts, vmm: Side, logs: &Path) -> Result<Self> {
        let console = Plug::new("console")?;
        let shell = Plug::new("shell")?;
        let monitor = Plug::new("monitor")?;
        let log = logs.join("console.log");
        let log = log.to_str().context("the path of the logs is no UTF-8")?.replace(',', ",,");

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(artifacts.vmm(vmm)?).arg("-L").arg(&artifacts.qemu_data);
        command
            .args(MACHINE.split_whitespace())
            .arg("-kernel")
            .arg(&artifacts.kernel)
            .arg("-initrd")
            .arg(&artifacts.initramfs);
        command.args(["-append", KERNEL_ARGUMENTS]);
        command.args(["-chardev", &format!("{},id=console,logfile={log}", console.chardev())]);
        command.args(["-chardev", &format!("{},id=shell", shell.chardev())]);
        command.args(["-device", "spapr-vty,chardev=console", "-device", "spapr-vty,chardev=shell"]);
        command.args(["-qmp", &monitor.legacy_chardev()]);

        fs::write(logs.join("command"), written_for_a_shell(&command)).context("cannot write the command line")?;
        let output = File::create(logs.join("qemu.log")).context("cannot write qemu.log")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn().context("cannot run setpriv (Debian: apt install util-linux)")?;

        let streams = || Ok((console.accept(&child)?, shell.accept(&child)?, monitor.accept(&child)?));
        match streams() {
            Ok((console, shell, monitor)) => Ok(Self { child, console, shell, monitor }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends, which it must be about to do: its streams are closed.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the VMM connects to. An abstract socket: it listens before the VMM starts, and leaves no file behind.
struct Plug {
    name: String,
    listener: UnixListener,
}

impl Plug {
    fn new(role: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("papr-unplug-{}-{}-{role}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let address = SocketAddr::from_abstract_name(&name)?;
        let listener = UnixListener::bind_addr(&address).with_context(|| format!("cannot listen on @{name}"))?;
        Ok(Self { name, listener })
    }

    fn chardev(&self) -> String {
        format!("socket,path={},abstract=on", self.name)
    }

    fn legacy_chardev(&self) -> String {
        format!("unix:{},abstract=on", self.name)
    }

    /// Waits until the VMM has connected or ended.
    fn accept(&self, vmm: &Child) -> Result<UnixStream> {
        let process = pidfd_open(Pid::from_child(vmm), PidfdFlags::empty()).context("cannot watch the VMM")?;
        let mut either = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        let patience = Timespec::try_from(Deadline::start().left())?;
        if poll(&mut either, Some(&patience)).context("cannot wait for the VMM")? == 0 {
            bail!("the VMM did not connect to @{}", self.name);
        }
        if either[0].revents().is_empty() {
            bail!("the VMM ended before its guest began");
        }
        Ok(self.listener.accept().context("cannot accept the VMM's connection")?.0)
    }
}

/// The command line as one could type it, an option a line.
fn written_for_a_shell(command: &Command) -> String {
    let mut text = String::new();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        let word = word.to_string_lossy();
        if !text.is_empty() {
            text += if word.starts_with('-') { " \\\n  " } else { " " };
        }
        text += &quoted(&word);
    }
    text + "\n"
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_can_be_typed() {
        let mut command = Command::new("/usr/bin/qemu");
        command.args(["-L", "a dir", "-append", "it's", "-x", ""]);
        assert_eq!(
            written_for_a_shell(&command),
            "/usr/bin/qemu \\\n  -L 'a dir' \\\n  -append 'it'\\''s' \\\n  -x ''\n"
        );
    }

    #[test]
    fn vmm_that_ends_at_once_is_reported_and_not_waited_for() {
        let mut child = Command::new("true").spawn().unwrap();
        let error = Plug::new("test").unwrap().accept(&child).unwrap_err();
        child.wait().unwrap();
        assert_eq!(error.to_string(), "the VMM ended before its guest began");
    }
}
