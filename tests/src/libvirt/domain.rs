// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest that libvirt runs.

use super::{
    daemon::{Daemon, STATE, Virsh, inside},
    events::{Event, Events},
};
use crate::{
    artifacts::Artifacts, deadline::Deadline, guest::shell::Shell, observe::trace::Trace, pairing::Side,
    stream::log_file::LogFile, vm,
};
use anyhow::{Context as _, Result, ensure};
use std::{fs, path::PathBuf};

/// Its name in libvirt.
const NAME: &str = "guest";

/// Where a VM's logs have what went between a test and libvirt.
const TRANSCRIPT: &str = "libvirt.log";

/// One CPU of four, 2 GiB, and slots for DIMMs. The kernel log goes to a file, and a shell to a socket.
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
    <cmdline>console=hvc0 oops=panic panic=-1</cmdline>
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
  </devices>
  <qemu:commandline><qemu:arg value='-L'/><qemu:arg value='FIRMWARE'/></qemu:commandline>
</domain>
";

/// A DIMM of two LMBs.
const DIMM: &str = "<memory model='dimm'><target><size unit='MiB'>512</size><node>0</node></target></memory>";

/// A running guest with the module loaded, and all that libvirt says of it.
#[derive(Debug)]
pub struct Domain {
    /// The guest's shell.
    pub guest: Shell,
    /// What libvirt tells.
    pub events: Events,
    /// What QEMU tells, as libvirt passes it on.
    pub monitor: Events,
    trace: Trace,
    daemon: Daemon,
    logs: PathBuf,
}

impl Domain {
    /// Starts a daemon and a guest of ours in it. Logs go to `target/vm/NAME`.
    pub fn start(artifacts: &Artifacts, vmm: Side, name: &str) -> Result<Self> {
        let logs = vm::logs(name);
        if logs.exists() {
            fs::remove_dir_all(&logs)?;
        }
        fs::create_dir_all(&logs)?;
        let journal = LogFile::create(&logs.join(TRANSCRIPT))?;
        let daemon = Daemon::start(&logs, journal.clone())?;
        daemon.put("domain.xml", &xml(artifacts, vmm)?)?;
        daemon.put("dimm.xml", DIMM)?;
        // Paused, so that no word of its shell is lost.
        daemon.virsh_done(&["create", "--paused", &format!("{STATE}/domain.xml")])?;
        let shell = daemon.connect("shell")?;
        let events = Events::of_domains(&daemon, journal.clone())?;
        let monitor = Events::of_monitors(&daemon, journal)?;
        daemon.virsh_done(&["resume", NAME])?;
        let mut guest = Shell::greet(shell, LogFile::create(&logs.join("shell.log"))?)?;
        guest.sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks")?;
        guest.sh("insmod /lib/modules/papr_unplug.ko")?;
        let trace = Trace::start(&mut guest)?;
        let mut domain = Self { guest, events, monitor, trace, daemon, logs };
        domain.be_heard()?;
        Ok(domain)
    }

    /// Adds a DIMM, and waits until the guest has taken it into use; gives libvirt's name for it.
    pub fn plug_dimm(&mut self) -> Result<&'static str> {
        self.plug(|domain| domain.daemon.virsh(&["attach-device", NAME, &format!("{STATE}/dimm.xml"), "--live"]))?;
        Ok("dimm0")
    }

    /// Adds a second CPU in the same way.
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

    /// Asks for a device.
    pub fn detach(&self, device: &str) -> Result<Virsh> {
        self.daemon.virsh(&["detach-device-alias", NAME, device, "--live"])
    }

    /// Sets how many CPUs the guest has.
    pub fn set_cpus(&self, count: u32) -> Result<Virsh> {
        self.daemon.virsh(&["setvcpus", NAME, &count.to_string(), "--live"])
    }

    /// What was asked of libvirt, and all it said, up to now.
    pub fn transcript(&self) -> Result<String> {
        let path = self.logs.join(TRANSCRIPT);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Makes sure that both streams of events are being listened to, by pausing the guest for a moment until that is
    /// heard in both: `virsh` does not say when it has begun to listen.
    fn be_heard(&mut self) -> Result<()> {
        let deadline = Deadline::start();
        while !(self.events.have("lifecycle") && self.monitor.have("STOP")) {
            ensure!(!deadline.left().is_zero(), "virsh hears no events");
            self.daemon.virsh_done(&["suspend", NAME])?;
            self.daemon.virsh_done(&["resume", NAME])?;
        }
        Ok(())
    }
}

/// The names of events, in their order.
pub fn names<'a>(events: &[&'a Event]) -> Vec<&'a str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn xml(artifacts: &Artifacts, vmm: Side) -> Result<String> {
    Ok(XML
        .replace("KERNEL", &inside(&artifacts.kernel)?)
        .replace("INITRAMFS", &inside(&artifacts.initramfs)?)
        .replace("EMULATOR", &inside(artifacts.vmm(vmm)?)?)
        .replace("FIRMWARE", &inside(&artifacts.qemu_data)?)
        .replace("STATE", STATE))
}
