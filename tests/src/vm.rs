// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest in a VMM, as a test has it in hand.

use crate::{
    artifacts::{Artifacts, target},
    console::Console,
    guest::Guest,
    journal::Journal,
    kernel_log,
    lines::NoLine,
    pairing::{Pairing, Side},
    qemu::Qemu,
    qmp::Qmp,
    trace::Trace,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a kernel is tainted with when all is well: a module out of its tree (bit 12), without a signature (bit 13), and
/// the kernel's own unit tests (bit 18), which a debugging kernel runs as it boots.
const HARMLESS_TAINTS: u64 = 1 << 12 | 1 << 13 | 1 << 18;

/// A running guest in a running VMM.
#[derive(Debug)]
pub struct Vm {
    /// Whose parts it is made of.
    pub pairing: Pairing,
    /// The guest's shell.
    pub guest: Guest,
    /// The VMM's monitor.
    pub qmp: Qmp,
    /// What the guest's kernel does.
    pub trace: Trace,
    /// The guest's kernel log.
    pub console: Console,
    /// How many devices were added.
    pub(crate) devices: u32,
    /// How many removals are asked for and not watched to their end.
    pub(crate) asked: u32,
    /// How many marks are in the kernel log.
    marks: u32,
    qemu: Qemu,
}

/// A VM whose guest is on its way up.
#[derive(Debug)]
pub struct Booting {
    pairing: Pairing,
    logs: PathBuf,
    qemu: Qemu,
    console: Console,
}

/// Where the logs of a VM of this name are.
pub fn logs(name: &str) -> PathBuf {
    target().join("vm").join(name)
}

impl Vm {
    /// Starts a VM and does not wait for it. Its logs go to `target/vm/NAME`.
    pub fn launch(artifacts: &Artifacts, pairing: Pairing, name: &str) -> Result<Booting> {
        let logs = fresh(&logs(name))?;
        let qemu = Qemu::start(artifacts, pairing.vmm, &logs)?;
        let console = Console::of(&qemu.console)?;
        Ok(Booting { pairing, logs, qemu, console })
    }

    /// The name of an abstract socket where QMP can be had beside [`Vm::qmp`].
    pub fn spare_monitor(&self) -> &str {
        &self.qemu.spare_monitor
    }

    /// Whether this error means that the VMM ended by itself.
    pub fn is_end_of_vmm(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.downcast_ref() == Some(&NoLine::Gone))
    }

    /// Waits until the VMM has ended, which it must be about to do.
    pub fn wait_for_end(&mut self) -> Result<()> {
        self.qemu.wait().map(drop).context("cannot wait for the VMM")
    }

    /// Whether the VMM has ended.
    pub fn has_ended(&mut self) -> bool {
        self.qemu.ended().is_some()
    }

    /// The kernel log up to now.
    pub fn kernel_log(&mut self) -> Result<&[String]> {
        self.marks += 1;
        let mark = format!("papr-unplug: mark {} in the kernel log", self.marks);
        self.guest.sh(&format!("echo '{mark}' > /dev/kmsg"))?;
        self.console.wait_for(&mark).context("waiting for the kernel log")?;
        Ok(self.console.log())
    }

    /// Looks for signs that anything went wrong in the guest's kernel. Every story ends with it.
    pub fn inspect(&mut self) -> Result<()> {
        let reports = kernel_log::reports(self.kernel_log()?);
        ensure!(reports.is_empty(), "the guest's kernel complains:\n{}", reports.join("\n"));

        let taints: u64 = self.guest.sh("cat /proc/sys/kernel/tainted")?.trim().parse()?;
        ensure!(
            taints & !HARMLESS_TAINTS == 0,
            "the guest's kernel is tainted: {taints}, see Linux tainted-kernels.rst"
        );
        self.inspect_locks()?;
        self.inspect_memory()
    }

    /// A kernel with lockdep must have kept it on: it turns itself off at the first report.
    fn inspect_locks(&mut self) -> Result<()> {
        let stats = self.guest.sh("if [ -e /proc/lockdep_stats ]; then cat /proc/lockdep_stats; fi")?;
        let on = |line: &str| line.trim().strip_prefix("debug_locks:").map(str::trim) == Some("1");
        ensure!(stats.is_empty() || stats.lines().any(on), "lockdep has turned itself off:\n{stats}");
        Ok(())
    }

    /// A kernel with kmemleak must find nothing. It speaks only of what has been lost for 5 seconds (`MSECS_MIN_AGE` in
    /// `mm/kmemleak.c`), and its own clock is the only one that can tell when those have passed.
    fn inspect_memory(&mut self) -> Result<()> {
        let leaks = "cd /sys/kernel/debug && if [ -e kmemleak ]; then sleep 5; echo scan > kmemleak; cat kmemleak; fi";
        let leaks = self.guest.sh(leaks)?;
        ensure!(leaks.trim().is_empty(), "kmemleak has found:\n{leaks}");
        Ok(())
    }
}

impl Booting {
    /// Waits until the guest is up, and has the module loaded if it is ours.
    pub fn up(self) -> Result<Vm> {
        let Self { pairing, logs, qemu, console } = self;
        let journal = |name| Journal::create(&logs.join(name)).with_context(|| format!("cannot write {name}"));
        let qmp = Qmp::greet(qemu.monitor.try_clone()?, journal("qmp.log")?)?;
        let mut guest = Guest::greet(qemu.shell.try_clone()?, journal("shell.log")?)?;
        let trace = Trace::start(&mut guest)?;
        let mut vm = Vm { pairing, guest, qmp, trace, console, devices: 0, asked: 0, marks: 0, qemu };
        // DIMMs that come later are to be removable, unless a story makes them busy.
        vm.guest.sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks")?;
        if vm.pairing.guest == Side::Ours {
            vm.load_module()?;
        }
        Ok(vm)
    }
}

/// An empty directory.
fn fresh(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove the old logs in {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path.to_owned())
}
