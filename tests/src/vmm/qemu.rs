// SPDX-License-Identifier: MIT OR Apache-2.0

//! The VMM: its command line, its process, and the three streams that tie it to us.

use crate::{
    artifacts::Artifacts,
    pairing::Side,
    stream::socket::{self, UnixSocket},
    vmm::machine::{Firmware, Machine},
};
use anyhow::{Context as _, Result};
use std::{
    fs::{self, File},
    io,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

/// For every machine. A guest that panics or resets ends the VMM (`-no-reboot`), and so every wait.
const OPTIONS: [&str; 3] = ["-nodefaults", "-nographic", "-no-reboot"];

/// The kernel log on the first console, and the first oops ends it all.
const KERNEL_ARGUMENTS: &str = "console=hvc0 oops=panic panic=-1";

/// How a VMM is started, as far as that varies.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Arguments for the kernel besides those that all have.
    pub kernel_arguments: &'static str,
    /// The firmware that starts the kernel.
    pub firmware: Firmware,
    /// Whether the guest has what it is booted from in `/boot`, for its kernel to start another one.
    pub carries_itself: bool,
    /// Options of the VMM besides those that all have.
    pub options: Vec<String>,
    /// Whether instructions are counted, for which all of the guest's CPUs share a thread.
    pub counts_instructions: bool,
}

impl Start {
    /// With these arguments for the kernel.
    pub fn with_kernel_arguments(kernel_arguments: &'static str) -> Self {
        Self { kernel_arguments, ..Self::default() }
    }

    /// With these options of the VMM.
    pub fn with_options<S: Into<String>>(options: impl IntoIterator<Item = S>) -> Self {
        Self { options: options.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With the firmware that users' guests have.
    pub fn with_slof() -> Self {
        Self { firmware: Firmware::Slof, ..Self::default() }
    }

    /// With instructions counted. Each takes the guest a nanosecond of its time, and no time passes while it waits.
    pub fn counting_instructions() -> Self {
        Self { counts_instructions: true, ..Self::default() }
    }

    fn accelerator(&self) -> &'static [&'static str] {
        if self.counts_instructions {
            &["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
        } else {
            &["-accel", "tcg,thread=multi"]
        }
    }
}

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
    /// The name of an abstract socket where a second QMP monitor listens, for programs that a test runs beside the guest.
    pub spare_monitor: String,
}

impl Qemu {
    /// Starts a VMM whose guest boots at once. `logs` gets the VMM's output, the kernel log, and the command line.
    pub fn start(artifacts: &Artifacts, vmm: Side, machine: Machine, start: &Start, logs: &Path) -> Result<Self> {
        let console = UnixSocket::new("console")?;
        let shell = UnixSocket::new("shell")?;
        let monitor = UnixSocket::new("monitor")?;
        let log = logs.join("console.log");
        let log = log.to_str().context("the path of the logs is no UTF-8")?.replace(',', ",,");

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(artifacts.vmm(vmm)?).arg("-L").arg(&artifacts.qemu_data);
        command.args(machine.options(start.firmware)).args(start.accelerator()).args(OPTIONS).args(&start.options);
        command.arg("-kernel").arg(&artifacts.kernel).arg("-initrd");
        if start.carries_itself {
            command.arg(artifacts.initramfs_with_boot(logs)?);
        } else {
            command.arg(&artifacts.initramfs);
        }
        command.args(["-append", format!("{KERNEL_ARGUMENTS} {}", start.kernel_arguments).trim_end()]);
        command.args(["-chardev", &format!("{},id=console,logfile={log}", console.chardev())]);
        command.args(["-chardev", &format!("{},id=shell", shell.chardev())]);
        for line in machine.serial_lines() {
            command.args(["-serial", &format!("chardev:{line}")]);
        }
        let spare_monitor = socket::name("spare-monitor");
        command.args(["-qmp", &format!("unix:{spare_monitor},abstract=on,server=on,wait=off")]);
        command.args(["-qmp", &monitor.legacy_chardev()]);

        fs::write(logs.join("command"), written_for_a_shell(&command)).context("cannot write the command line")?;
        let output = File::create(logs.join("qemu.log")).context("cannot write qemu.log")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn().context("cannot run setpriv (Debian: apt install util-linux)")?;

        let streams = || Ok((console.accept(&child)?, shell.accept(&child)?, monitor.accept(&child)?));
        match streams() {
            Ok((console, shell, monitor)) => Ok(Self { child, console, shell, monitor, spare_monitor }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
}
