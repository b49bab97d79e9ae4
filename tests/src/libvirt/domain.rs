// SPDX-License-Identifier: MIT OR Apache-2.0

//! Domain of libvirt: a guest with the module.

use super::{
    daemon::{Daemon, STATE, Virsh, inside},
    events::{Events, LibvirtEvent},
};
use crate::{
    artifacts::Artifacts, deadline::Deadline, guest::shell::Shell, observe::trace::Trace, pairing::Side,
    stream::log_file::LogFile, vm,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the domain.
pub const NAME: &str = "guest";

/// Log of the commands to libvirt, their results, and the events.
const TRANSCRIPT: &str = "libvirt.log";

/// Domain with one CPU of up to four, 2 GiB, and four slots for DIMMs. The kernel log goes to a file, the shell to a
/// socket.
const XML: &str = "\
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>guest</name>
  <memory unit='GiB'>2</memory>
  <maxMemory slots='4' unit='GiB'>8</maxMemory>
  <vcpu current='1'>4</vcpu>
  <os>
    <type arch='ppc64' machine='pseries'>hvm</type>
    <kernel>KERNEL</kernel>
    <initrd>INITRAMFS</initrd>
    <cmdline>console=hvc0 oops=panic panic=-1 nowatchdog</cmdline>
  </os>
  <cpu mode='custom' match='exact' check='none'>
    <model>POWER9</model>
    <topology sockets='4' cores='1' threads='1'/>
    <numa><cell id='0' cpus='0-3' memory='2' unit='GiB'/></numa>
  </cpu>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>EMULATOR</emulator>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='STATE/console.log'/><target type='spapr-vio-serial' port='0'/></serial>
    <serial type='unix'><source mode='bind' path='STATE/shell'/><target type='spapr-vio-serial' port='1'/></serial>
    <memballoon model='none'/>
    MORE
  </devices>
  <qemu:commandline><qemu:arg value='-L'/><qemu:arg value='FIRMWARE'/></qemu:commandline>
</domain>
";

/// Words of the `virsh` command that requests the removal of a DIMM and waits as long as libvirt does.
pub const DETACH_DIMM: [&str; 4] = ["detach-device", NAME, "/state/dimm.xml", "--live"];

/// Network card on a socket that nobody connects to.
const CARD: &str = "\
<interface type='server'><source address='127.0.0.1' port='5558'/><model type='virtio'/><rom enabled='no'/></interface>";

/// DIMM of two LMBs.
const DIMM: &str = "<memory model='dimm'><target><size unit='MiB'>512</size><node>0</node></target></memory>";

/// Running domain whose guest has the module loaded.
#[derive(Debug)]
pub struct Domain {
    /// The guest's shell.
    pub guest: Shell,
    /// Events of libvirt.
    pub events: Events,
    /// Events of QEMU, which libvirt passes on.
    pub monitor: Events,
    /// libvirt.
    pub daemon: Daemon,
    trace: Trace,
    logs: PathBuf,
}

impl Domain {
    /// Starts a daemon and a domain. Logs go to `target/vm/NAME`.
    pub fn start(artifacts: &Artifacts, vmm: Side, name: &str) -> Result<Self> {
        Self::start_with(&Daemon::under_test()?, artifacts, vmm, name)
    }

    /// Starts a daemon by the command that enters libvirt's root, and a domain.
    pub fn start_with(enter: &Path, artifacts: &Artifacts, vmm: Side, name: &str) -> Result<Self> {
        let xml = xml(artifacts, vmm, &artifacts.initramfs, "")?;
        Self::start_in(enter, vm::empty_directory(&vm::logs(name))?, &xml)
    }

    /// Starts a daemon and a domain with a network card, `net0`, whose guest has a distribution's programs. Logs go to
    /// `target/vm/NAME`.
    pub fn start_with_card(artifacts: &Artifacts, vmm: Side, name: &str) -> Result<Self> {
        let logs = vm::empty_directory(&vm::logs(name))?;
        let xml = xml(artifacts, vmm, &artifacts.initramfs_with_distribution(&logs)?, CARD)?;
        Self::start_in(&Daemon::under_test()?, logs, &xml)
    }

    fn start_in(enter: &Path, logs: PathBuf, xml: &str) -> Result<Self> {
        let log_file = LogFile::create(&logs.join(TRANSCRIPT))?;
        let daemon = Daemon::start(enter, &logs, log_file.clone())?;
        daemon.put("domain.xml", xml)?;
        daemon.put("dimm.xml", DIMM)?;
        // The domain starts paused, so that no line of its shell is missed.
        daemon.virsh_done(&["create", "--paused", &format!("{STATE}/domain.xml")])?;
        let shell = daemon.connect("shell")?;
        let events = Events::of_domains(&daemon, log_file.clone())?;
        let monitor = Events::of_monitors(&daemon, log_file)?;
        daemon.virsh_done(&["resume", NAME])?;
        let mut guest = Shell::connect(shell, LogFile::create(&logs.join("shell.log"))?)?;
        guest.sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks")?;
        guest.sh("insmod /lib/modules/papr_unplug.ko unsafe_kprobes=1")?;
        let trace = Trace::start(&mut guest)?;
        let mut domain = Self { guest, events, monitor, trace, daemon, logs };
        domain.await_listeners()?;
        Ok(domain)
    }

    /// Adds a DIMM and waits until the guest has configured it. Returns its alias.
    pub fn plug_dimm(&mut self) -> Result<&'static str> {
        self.plug(|domain| domain.daemon.virsh(&["attach-device", NAME, &format!("{STATE}/dimm.xml"), "--live"]))?;
        Ok("dimm0")
    }

    /// Adds a second CPU and waits until the guest has configured it. Returns its alias.
    pub fn plug_cpu(&mut self) -> Result<&'static str> {
        self.plug(|domain| domain.set_cpus(2))?;
        Ok("vcpu1")
    }

    fn plug(&mut self, plug: impl FnOnce(&Self) -> Result<Virsh>) -> Result<()> {
        self.trace.so_far(&mut self.guest)?;
        let plugged = plug(self)?;
        ensure!(matches!(plugged, Virsh::Done(_)), "libvirt adds nothing: {plugged:?}");
        let attempt = self.trace.addition(&mut self.guest)?;
        ensure!(attempt.errno == 0, "the guest does not take what was added: error {}", attempt.errno);
        Ok(())
    }

    /// Requests the removal of a device.
    pub fn detach(&self, device: &str) -> Result<Virsh> {
        self.daemon.virsh(&["detach-device-alias", NAME, device, "--live"])
    }

    /// Requests the removal of the DIMM, and waits as long as libvirt does.
    pub fn detach_dimm(&self) -> Result<Virsh> {
        self.daemon.virsh(&DETACH_DIMM)
    }

    /// Sets the number of CPUs.
    pub fn set_cpus(&self, count: u32) -> Result<Virsh> {
        self.daemon.virsh(&["setvcpus", NAME, &count.to_string(), "--live"])
    }

    /// Ends the domain, and waits until libvirt says so. What it had to say before has been heard then.
    pub fn end(&mut self) -> Result<()> {
        self.daemon.virsh_done(&["destroy", NAME])?;
        self.events.wait_for("lifecycle", "Stopped Destroyed")
    }

    /// Returns the log of commands and events up to now.
    pub fn transcript(&self) -> Result<String> {
        let path = self.logs.join(TRANSCRIPT);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Reads all events up to now: pauses and resumes the domain, and reads up to the events of that.
    pub fn read_events(&mut self) -> Result<()> {
        let (lifecycle, resumed) = (self.events.number_of("lifecycle"), self.monitor.number_of("RESUME"));
        self.daemon.virsh_done(&["suspend", NAME])?;
        self.daemon.virsh_done(&["resume", NAME])?;
        self.events.await_number("lifecycle", lifecycle + 2)?;
        self.monitor.await_number("RESUME", resumed + 1)
    }

    /// Pauses and resumes the domain until both streams have an event of that: `virsh` does not say when it has begun
    /// to listen.
    fn await_listeners(&mut self) -> Result<()> {
        let deadline = Deadline::start();
        while !(self.events.has("lifecycle") && self.monitor.has("STOP")) {
            ensure!(!deadline.left().is_zero(), "virsh reports no events");
            self.daemon.virsh_done(&["suspend", NAME])?;
            self.daemon.virsh_done(&["resume", NAME])?;
        }
        Ok(())
    }
}

/// Returns the names of events, in order.
pub fn names<'a>(events: &[&'a LibvirtEvent]) -> Vec<&'a str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn xml(artifacts: &Artifacts, vmm: Side, initramfs: &Path, more: &str) -> Result<String> {
    Ok(XML
        .replace("KERNEL", &inside(&artifacts.kernel)?)
        .replace("INITRAMFS", &inside(initramfs)?)
        .replace("EMULATOR", &inside(artifacts.vmm(vmm)?)?)
        .replace("FIRMWARE", &inside(&artifacts.qemu_data)?)
        .replace("MORE", more)
        .replace("STATE", STATE))
}
