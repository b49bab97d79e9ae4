// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest with an installed Debian: systemd, apt, and a disk that keeps what was installed.

use crate::{
    artifacts::Artifacts,
    device::dimm::ONE_LMB,
    guest::{console::Console, shell::Shell},
    newcomer::disk::KERNEL_ARGUMENTS,
    pairing::Side,
    stream::log_file::LogFile,
    vm::{empty_directory, logs},
    vmm::{
        machine::Machine,
        qemu::{Qemu, Start},
        qmp::Qmp,
    },
};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_qmp::message::Event;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Files that such a guest is started from.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Kernel of the disk's Debian, and an initramfs that mounts the disks.
    pub artifacts: Artifacts,
    /// Disk with the root file system. It is written to.
    pub disk: PathBuf,
    /// Disk with apt's mirror.
    pub packages: PathBuf,
    /// Path at which the VMM opens a QMP socket.
    pub monitor: PathBuf,
}

/// Running guest.
#[derive(Debug)]
pub struct Debian {
    /// Root shell on the second console.
    pub shell: Shell,
    /// Monitor of the test; [`Installed::monitor`] is another one.
    pub qmp: Qmp,
    qemu: Qemu,
    console: Console,
}

impl Installed {
    /// Starts the guest on the patched QEMU and waits for its shell. Logs go to `target/vm/NAME`.
    pub fn boot(&self, name: &str) -> Result<Debian> {
        let logs = empty_directory(&logs(name))?;
        let disk = |path: &Path, id: &str| {
            let path = path.to_str().context("the path of a disk is no UTF-8")?.replace(',', ",,");
            let drive = format!("file={path},if=none,format=raw,cache=unsafe,id={id}");
            Ok::<_, anyhow::Error>(["-drive".to_owned(), drive, "-device".to_owned(), format!("virtio-blk,drive={id}")])
        };
        let mut options = [disk(&self.disk, "root")?, disk(&self.packages, "packages")?].concat();
        let monitor = self.monitor.to_str().context("the path of the monitor is no UTF-8")?.replace(',', ",,");
        options.extend(["-qmp".to_owned(), format!("unix:{monitor},server=on,wait=off")]);
        let start = Start { kernel_arguments: KERNEL_ARGUMENTS.into(), options, ..Start::with_slof() };

        let qemu = Qemu::start(&self.artifacts, Side::Ours, Machine::Pseries, &start, &logs)?;
        let log_file = |name| LogFile::create(&logs.join(name)).with_context(|| format!("cannot write {name}"));
        let console = Console::of(&qemu.console)?;
        let qmp = Qmp::connect(qemu.monitor.try_clone()?, log_file("qmp.log")?)?;
        let shell = Shell::connect(qemu.shell.try_clone()?, log_file("shell.log")?)?;
        Ok(Debian { shell, qmp, qemu, console })
    }
}

impl Debian {
    /// Shuts the guest down and waits for the end of its VMM.
    pub fn shut_down(mut self) -> Result<()> {
        // The shell ends before the command does.
        let _ = self.shell.start("systemctl poweroff")?;
        self.console.wait_for_end().context("waiting for the guest to shut down")?;
        let status = self.qemu.wait().context("cannot wait for the VMM")?;
        ensure!(status.success(), "the VMM ended with {status}");
        Ok(())
    }

    /// Adds the second core as `id`, waits until it is online, and takes the first one offline.
    pub fn make_core_the_last(&mut self, id: &str) -> Result<()> {
        let possible = self.qmp.execute("query-hotpluggable-cpus", json!({}))?;
        let driver = possible.pointer("/0/type").context("no core can be added")?;
        self.qmp.execute("device_add", json!({ "driver": driver, "id": id, "core-id": 1 }))?;
        self.shell.sh("until grep -q 1 /sys/devices/system/cpu/cpu1/online; do sleep 1; done")?;
        self.shell.sh("echo 0 > /sys/devices/system/cpu/cpu0/online").map(drop)
    }

    /// Adds a DIMM of one LMB as `id`, waits until it is online, and has a memory notifier refuse to take it offline.
    pub fn add_busy_dimm(&mut self, id: &str) -> Result<()> {
        const COUNT: &str = "grep -lx online /sys/devices/system/memory/memory*/state | wc -l";
        self.shell.sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks")?;
        let before = self.shell.sh(COUNT)?;
        let backend = format!("{id}-ram");
        self.qmp.execute("object-add", json!({ "qom-type": "memory-backend-ram", "id": backend, "size": ONE_LMB }))?;
        self.qmp.execute("device_add", json!({ "driver": "pc-dimm", "id": id, "memdev": backend, "node": 1 }))?;
        self.shell.sh(&format!("until [ $({COUNT}) -gt {} ]; do sleep 1; done", before.trim()))?;
        self.shell.sh("modprobe memory-notifier-error-inject")?;
        self.shell.veto_offlining()
    }

    /// Waits for the first event of this name about a device.
    pub fn event(&mut self, name: &str, device: &str) -> Result<Event> {
        let is_it = |event: &Event| event.name() == name && event.device() == Some(device);
        let begin = self.qmp.begin();
        self.qmp.wait_for(begin, name, is_it)?;
        let found = self.qmp.since(begin).iter().find(|event| is_it(&event.body));
        found.map(|event| event.body.clone()).context("an event that came is gone")
    }
}
