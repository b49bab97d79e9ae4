// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU: its command line, its process, and the streams that connect it to a test.

use crate::{
    artifacts::Artifacts,
    pairing::Side,
    stream::socket::{self, UnixSocket},
    vmm::{
        kvm::{self, KvmHost},
        machine::{Firmware, Machine},
    },
};
use anyhow::{Context as _, Result, ensure};
use std::{
    borrow::Cow,
    env,
    fs::{self, File},
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Options of every machine. With `-no-reboot` a panic or a reset of the guest ends QEMU, and with it every wait.
const OPTIONS: [&str; 3] = ["-nodefaults", "-nographic", "-no-reboot"];

/// Kernel arguments of every guest: the kernel log on the first console, a panic at the first oops, and no lockup
/// detectors, which report on guests of a busy host.
const KERNEL_ARGUMENTS: &str = "console=hvc0 oops=panic panic=-1 nowatchdog";

/// Variable with the number of CPUs of guests that have the distribution's programs.
const CPUS: &str = "PAPR_UNPLUG_CPUS";

/// Options of QEMU that differ between tests.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Kernel arguments besides the common ones.
    pub kernel_arguments: Cow<'static, str>,
    /// Firmware that starts the kernel.
    pub firmware: Firmware,
    /// True if the guest has its kernel and its initramfs in `/boot`, for kexec.
    pub has_boot_files: bool,
    /// True if the guest has the distribution's programs that handle requests for PCI devices.
    pub has_distribution: bool,
    /// Options of QEMU besides the common ones.
    pub options: Vec<String>,
    /// Threads of QEMU that run the guest's CPUs.
    pub threads: Threads,
}

/// Threads of QEMU that run the guest's CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// A thread for each CPU.
    #[default]
    Multi,
    /// One thread for all CPUs.
    Single,
    /// One thread for all CPUs, with instructions counted (`-icount`). Each takes a nanosecond of the guest's time, and
    /// no time passes while the guest waits.
    Counting,
}

impl Threads {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Multi => &["-accel", "tcg,thread=multi"],
            Self::Single => &["-accel", "tcg,thread=single"],
            Self::Counting => &["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"],
        }
    }
}

impl Start {
    /// Returns options with these kernel arguments.
    pub fn with_kernel_arguments(kernel_arguments: impl Into<Cow<'static, str>>) -> Self {
        Self { kernel_arguments: kernel_arguments.into(), ..Self::default() }
    }

    /// Returns options with these options of QEMU.
    pub fn with_options<S: Into<String>>(options: impl IntoIterator<Item = S>) -> Self {
        Self { options: options.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Returns options with the distribution's programs, and with these options of QEMU. The guest has as many CPUs as
    /// the variable [`CPUS`] says, and otherwise those of the machine.
    pub fn with_distribution<S: Into<String>>(options: impl IntoIterator<Item = S>) -> Self {
        let mut start = Self { has_distribution: true, ..Self::with_options(options) };
        if let Ok(cpus) = env::var(CPUS) {
            start.options.extend(["-smp".to_owned(), cpus]);
        }
        start
    }

    /// Returns options with SLOF, the firmware of users' guests.
    pub fn with_slof() -> Self {
        Self { firmware: Firmware::Slof, ..Self::default() }
    }

    /// Returns options with these threads.
    pub fn with_threads(threads: Threads) -> Self {
        Self { threads, ..Self::default() }
    }
}

/// Running QEMU. Dropping it kills the process; the kernel kills it when the thread that started it ends.
#[derive(Debug)]
pub struct Qemu {
    process: Process,
    /// The guest's first console, which has the kernel log.
    pub console: UnixStream,
    /// The guest's second console, which has a shell.
    pub shell: UnixStream,
    /// QMP monitor.
    pub monitor: UnixStream,
    /// Name of an abstract socket with a second QMP monitor, for programs that a test runs beside the guest.
    pub spare_monitor: String,
}

/// Process of a QEMU.
#[derive(Debug)]
enum Process {
    /// Process of this machine.
    Here(Child),
    /// Process in a host of KVM guests, by its number there.
    UnderKvm(Arc<Mutex<KvmHost>>, usize),
}

impl Qemu {
    /// Starts QEMU; its guest boots at once. QEMU's output, the kernel log and the command line go to `logs`.
    pub fn start(artifacts: &Artifacts, vmm: Side, machine: Machine, start: &Start, logs: &Path) -> Result<Self> {
        if let Some(kvm) = &artifacts.kvm {
            let host = Arc::new(Mutex::new(KvmHost::boot(artifacts, kvm, logs)?));
            return Self::start_in(&host, artifacts, vmm, machine, start, logs);
        }
        let console = UnixSocket::new("console")?;
        let shell = UnixSocket::new("shell")?;
        let monitor = UnixSocket::new("monitor")?;
        let spare_monitor = socket::name("spare-monitor");
        let log = logs.join("console.log");
        let log = log.to_str().context("the path of the logs is no UTF-8")?.replace(',', ",,");
        let chardevs = [
            format!("{},logfile={log}", console.chardev()),
            shell.chardev(),
            monitor.legacy_chardev(),
            format!("unix:{spare_monitor},abstract=on,server=on,wait=off"),
        ];
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(artifacts.vmm(vmm)?).arg("-L").arg(&artifacts.qemu_data);
        command.args(start.threads.options());
        add_options(&mut command, artifacts, machine, start, logs, &chardevs)?;
        let output = File::create(logs.join("qemu.log")).context("cannot write qemu.log")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child = command.spawn().context("cannot run setpriv (Debian: apt install util-linux)")?;

        let streams = || Ok((console.accept(&child)?, shell.accept(&child)?, monitor.accept(&child)?));
        match streams() {
            Ok((console, shell, monitor)) => {
                Ok(Self { process: Process::Here(child), console, shell, monitor, spare_monitor })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Starts another QEMU on the same host, to which a guest can migrate.
    pub fn start_beside(
        &self,
        artifacts: &Artifacts,
        vmm: Side,
        machine: Machine,
        start: &Start,
        logs: &Path,
    ) -> Result<Self> {
        match &self.process {
            Process::Here(_) => Self::start(artifacts, vmm, machine, start, logs),
            Process::UnderKvm(host, _) => Self::start_in(host, artifacts, vmm, machine, start, logs),
        }
    }

    fn start_in(
        host: &Arc<Mutex<KvmHost>>,
        artifacts: &Artifacts,
        vmm: Side,
        machine: Machine,
        start: &Start,
        logs: &Path,
    ) -> Result<Self> {
        ensure!(machine != Machine::Powernv, "KVM runs no powernv guest");
        ensure!(start.threads != Threads::Counting, "KVM counts no instructions");
        let kvm = artifacts.kvm.as_ref().context("the artifacts have no host of KVM guests")?;
        let mut running = lock(host);
        let place = running.place()?;
        let chardevs = place.chardevs();
        let mut command = Command::new(kvm.vmm(vmm).canonicalize()?);
        command.args(["-accel", "kvm"]);
        add_options(&mut command, artifacts, machine, start, logs, &chardevs)?;
        running.start(&place, logs)?;
        let (process, kvm::Place { console, shell, monitor, spare_monitor, .. }) =
            (Process::UnderKvm(Arc::clone(host), place.number()), place);
        Ok(Self { process, console, shell, monitor, spare_monitor })
    }

    /// Returns the host of a guest under KVM.
    pub fn kvm_host(&self) -> Option<MutexGuard<'_, KvmHost>> {
        match &self.process {
            Process::Here(_) => None,
            Process::UnderKvm(host, _) => Some(lock(host)),
        }
    }

    /// Returns the path of a socket by which this QEMU and another on the same host can talk. `logs` are this one's.
    pub fn shared_socket(&self, logs: &Path) -> PathBuf {
        match &self.process {
            Process::Here(_) => logs.join("migration"),
            // A file of another machine is no socket.
            Process::UnderKvm(_, number) => format!("/tmp/migration-{number}").into(),
        }
    }

    /// Returns the process id.
    pub fn pid(&mut self) -> u32 {
        self.with_child(|child| child.id())
    }

    /// Returns the exit status if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.with_child(|child| child.try_wait().ok().flatten())
    }

    /// Waits for the end of the process, which must have begun: its streams are closed.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.with_child(Child::wait)
    }

    /// The child of a guest under KVM is its host, which ends with the last VMM.
    fn with_child<T>(&mut self, action: impl FnOnce(&mut Child) -> T) -> T {
        match &mut self.process {
            Process::Here(child) => action(child),
            Process::UnderKvm(host, _) => action(lock(host).child()),
        }
    }
}

fn lock(host: &Mutex<KvmHost>) -> MutexGuard<'_, KvmHost> {
    host.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds the options of a guest with these character devices: two consoles and two monitors, the latter as `-qmp` takes
/// them. Writes the command line to `logs`.
fn add_options(
    command: &mut Command,
    artifacts: &Artifacts,
    machine: Machine,
    start: &Start,
    logs: &Path,
    [console, shell, monitor, spare_monitor]: &[String; 4],
) -> Result<()> {
    command.args(machine.options(start.firmware));
    if artifacts.kvm.is_some() {
        command.args(kvm::CAPABILITIES);
    }
    command.args(OPTIONS).args(&start.options);
    command.arg("-kernel").arg(artifacts.kernel.canonicalize()?).arg("-initrd");
    if start.has_boot_files {
        command.arg(artifacts.initramfs_with_boot(logs)?);
    } else if start.has_distribution {
        command.arg(artifacts.initramfs_with_distribution(logs)?);
    } else {
        command.arg(artifacts.initramfs.canonicalize()?);
    }
    command.args(["-append", format!("{KERNEL_ARGUMENTS} {}", start.kernel_arguments).trim_end()]);
    command.args(["-chardev", &format!("{console},id=console")]);
    command.args(["-chardev", &format!("{shell},id=shell")]);
    for line in machine.serial_lines() {
        command.args(["-serial", &format!("chardev:{line}")]);
    }
    command.args(["-qmp", spare_monitor, "-qmp", monitor]);
    fs::write(logs.join("command"), shell_command(command)).context("cannot write the command line")
}

impl Drop for Qemu {
    fn drop(&mut self) {
        match &mut self.process {
            Process::Here(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            // The last one is killed with the host.
            Process::UnderKvm(host, number) if Arc::strong_count(host) > 1 => {
                let _ = lock(host).end(*number);
            }
            Process::UnderKvm(..) => {}
        }
    }
}

/// Returns the command line as a shell takes it, one option a line.
fn shell_command(command: &Command) -> String {
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
        assert_eq!(shell_command(&command), "/usr/bin/qemu \\\n  -L 'a dir' \\\n  -append 'it'\\''s' \\\n  -x ''\n");
    }
}
