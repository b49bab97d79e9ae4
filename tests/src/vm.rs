// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest in a VMM, as a test has it in hand.

use crate::{
    artifacts::{Artifacts, target},
    guest::{console::Console, shell::Shell},
    observe::{kernel_log, trace::Trace},
    pairing::{Pairing, Side},
    stream::{lines::NoLine, log_file::LogFile},
    vmm::{
        machine::Machine,
        qemu::{Qemu, Start},
        qmp::Qmp,
    },
};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A running guest in a running VMM.
#[derive(Debug)]
pub struct Vm {
    /// Whose parts it is made of.
    pub pairing: Pairing,
    /// The guest's shell.
    pub guest: Shell,
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
    pub(crate) qemu: Qemu,
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
        Self::launch_as(artifacts, pairing, Machine::Pseries, &Start::default(), name)
    }

    /// The same on this machine, started like this.
    pub fn launch_as(
        artifacts: &Artifacts,
        pairing: Pairing,
        machine: Machine,
        start: &Start,
        name: &str,
    ) -> Result<Booting> {
        let logs = fresh(&logs(name))?;
        let qemu = Qemu::start(artifacts, pairing.vmm, machine, start, &logs)?;
        let console = Console::of(&qemu.console)?;
        Ok(Booting { pairing, logs, qemu, console })
    }

    /// The name of an abstract socket where QMP can be had beside [`Vm::qmp`].
    pub fn spare_monitor(&self) -> &str {
        &self.qemu.spare_monitor
    }

    /// Has the guest boot anew, and waits until it is up. The module is not loaded.
    pub fn reset(&mut self) -> Result<()> {
        self.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        self.qmp.execute("system_reset", json!({}))?;
        self.await_boot()
    }

    /// Waits until the guest has booted anew, which it must be about to do. (A VMM ends with its guest's boot unless it was
    /// told otherwise, with `set-action`.)
    pub fn await_boot(&mut self) -> Result<()> {
        self.guest.greet_again()?;
        self.asked = 0;
        self.trace = settle_in(&mut self.guest)?;
        Ok(())
    }

    /// Whether this error means that the VMM ended by itself.
    pub fn is_end_of_vmm(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.downcast_ref() == Some(&NoLine::Gone))
    }

    /// Whether it was for a crash of the guest's kernel that the VMM has ended, which it must be about to do.
    pub fn crashed(&mut self) -> Result<bool> {
        self.qemu.wait().context("cannot wait for the VMM")?;
        self.console.wait_for_end().context("waiting for the end of the kernel log")?;
        Ok(kernel_log::has_panic(self.console.log()))
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
}

impl Booting {
    /// Waits until the guest is up, and has the module loaded if it is ours.
    pub fn up(self) -> Result<Vm> {
        let Self { pairing, logs, qemu, console } = self;
        let journal = |name| LogFile::create(&logs.join(name)).with_context(|| format!("cannot write {name}"));
        let qmp = Qmp::greet(qemu.monitor.try_clone()?, journal("qmp.log")?)?;
        let mut guest = Shell::greet(qemu.shell.try_clone()?, journal("shell.log")?)?;
        let trace = settle_in(&mut guest)?;
        let mut vm = Vm { pairing, guest, qmp, trace, console, devices: 0, asked: 0, marks: 0, qemu };
        if vm.pairing.guest == Side::Ours {
            vm.load_module()?;
        }
        Ok(vm)
    }
}

/// Has a guest that has booted be what tests expect.
fn settle_in(guest: &mut Shell) -> Result<Trace> {
    let trace = Trace::start(guest)?;
    // DIMMs that come later are to be removable, unless a story makes them busy.
    guest.sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks")?;
    Ok(trace)
}

/// An empty directory.
pub(crate) fn fresh(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove the old logs in {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path.to_owned())
}
