// SPDX-License-Identifier: MIT OR Apache-2.0

//! Virtual machine of a test: a guest in a VMM.

use crate::{
    artifacts::{Artifacts, target},
    guest::{console::Console, shell::Shell},
    observe::{kernel_log, trace::Trace},
    pairing::{Pairing, Side},
    stream::{lines::LineError, log_file::LogFile},
    vmm::{
        machine::Machine,
        qemu::{Qemu, Start},
        qmp::Qmp,
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Running guest in a running VMM.
#[derive(Debug)]
pub struct Vm {
    /// Pairing of guest and VMM.
    pub pairing: Pairing,
    /// The guest's shell.
    pub guest: Shell,
    /// The VMM's monitor.
    pub qmp: Qmp,
    /// Trace of the guest's kernel.
    pub trace: Trace,
    /// The guest's kernel log.
    pub console: Console,
    /// Number of devices that were added.
    pub(crate) devices: u32,
    /// Number of traced requests whose end has not been waited for.
    pub(crate) traced_requests: u32,
    /// Number of marks in the kernel log.
    marks: u32,
    /// Options with which the VMM was started.
    pub(crate) start: Start,
    pub(crate) qemu: Qemu,
}

/// VM whose guest is booting.
#[derive(Debug)]
pub struct Booting {
    pairing: Pairing,
    start: Start,
    logs: PathBuf,
    qemu: Qemu,
    console: Console,
}

/// Returns the directory of the logs of a VM.
pub fn logs(name: &str) -> PathBuf {
    target().join("vm").join(name)
}

impl Vm {
    /// Starts a VM and does not wait for its guest. Logs go to `target/vm/NAME`.
    pub fn launch(artifacts: &Artifacts, pairing: Pairing, name: &str) -> Result<Booting> {
        Self::launch_as(artifacts, pairing, Machine::Pseries, &Start::default(), name)
    }

    /// Like [`Vm::launch`], with this machine and these options.
    pub fn launch_as(
        artifacts: &Artifacts,
        pairing: Pairing,
        machine: Machine,
        start: &Start,
        name: &str,
    ) -> Result<Booting> {
        let logs = empty_directory(&logs(name))?;
        let qemu = Qemu::start(artifacts, pairing.vmm, machine, start, &logs)?;
        let console = Console::of(&qemu.console)?;
        Ok(Booting { pairing, start: start.clone(), logs, qemu, console })
    }

    /// Returns the name of an abstract socket with a second QMP monitor.
    pub fn spare_monitor(&self) -> &str {
        &self.qemu.spare_monitor
    }

    /// Returns the VMM.
    pub fn qemu(&self) -> &Qemu {
        &self.qemu
    }

    /// Resets the guest and waits until it is up. The module is not loaded.
    pub fn reset(&mut self) -> Result<()> {
        self.qmp.execute("set-action", json!({ "reboot": "reset" }))?;
        self.qmp.execute("system_reset", json!({}))?;
        self.await_boot()
    }

    /// Waits until the guest is up again. Its reboot must have begun. (Unless `set-action` was used, a VMM ends when
    /// its guest reboots.)
    pub fn await_boot(&mut self) -> Result<()> {
        self.guest.await_prompt()?;
        self.traced_requests = 0;
        self.trace = prepare(&mut self.guest)?;
        Ok(())
    }

    /// Returns whether the error means that the VMM has ended by itself.
    pub fn is_end_of_vmm(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.downcast_ref() == Some(&LineError::Closed))
    }

    /// Waits for the end of the VMM, which must have begun. Returns whether the guest's kernel has panicked.
    pub fn crashed(&mut self) -> Result<bool> {
        self.qemu.wait().context("cannot wait for the VMM")?;
        self.console.wait_for_end().context("waiting for the end of the kernel log")?;
        Ok(kernel_log::has_panic(self.console.log()))
    }

    /// Returns whether the VMM has ended.
    pub fn has_ended(&mut self) -> bool {
        self.qemu.ended().is_some()
    }

    /// Reads the kernel log up to now.
    pub fn kernel_log(&mut self) -> Result<&[String]> {
        self.marks += 1;
        let mark = format!("papr-unplug: mark {} in the kernel log", self.marks);
        self.guest.sh(&format!("echo '{mark}' > /dev/kmsg"))?;
        self.console.wait_for(&mark).context("waiting for the kernel log")?;
        Ok(self.console.log())
    }
}

impl Booting {
    /// Waits until the guest is up, and loads the module if the guest is [`Side::Ours`].
    pub fn up(self) -> Result<Vm> {
        let Self { pairing, start, logs, qemu, console } = self;
        let log_file = |name| LogFile::create(&logs.join(name)).with_context(|| format!("cannot write {name}"));
        let mut qmp = Qmp::connect(qemu.monitor.try_clone()?, log_file("qmp.log")?)?;
        if qemu.kvm_host().is_some() {
            let kvm = qmp.execute("query-kvm", json!({}))?;
            ensure!(kvm["enabled"] == true, "the guest is to run under KVM, and the VMM says {kvm}");
        }
        let mut guest = Shell::connect(qemu.shell.try_clone()?, log_file("shell.log")?)?;
        let trace = prepare(&mut guest)?;
        let mut vm = Vm { pairing, guest, qmp, trace, console, devices: 0, traced_requests: 0, marks: 0, start, qemu };
        if vm.pairing.guest == Side::Ours {
            vm.load_module()?;
        }
        Ok(vm)
    }
}

/// Prepares a guest that has booted: starts its trace, and has new memory onlined as movable.
fn prepare(guest: &mut Shell) -> Result<Trace> {
    let trace = Trace::start(guest)?;
    // DIMMs can be removed unless a story makes them busy.
    guest.sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks")?;
    Ok(trace)
}

/// Makes a directory, or replaces an older one by an empty one.
pub(crate) fn empty_directory(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove the old logs in {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path.to_owned())
}
