// SPDX-License-Identifier: MIT OR Apache-2.0

//! VM that is paused before its firmware starts: the behaviour of QEMU alone, in a fraction of a second.

use crate::program::Program;
use anyhow::{Context as _, Result};
use papr_unplug_tests::{
    artifacts::Artifacts,
    stream::{
        log_file::LogFile,
        socket::{self, UnixSocket},
    },
    vm,
    vmm::qmp::Qmp,
};
use serde_json::json;
use std::{
    fs::{self, File},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

/// CPU core that can be unplugged.
const CORE: &str = "power9_v2.2-spapr-cpu-core,core-id=1,id=cpu1";

pub(crate) struct Unbooted {
    child: Child,
    pub(crate) qmp: Qmp,
    /// Abstract socket for the program.
    pub(crate) monitor: String,
}

impl Unbooted {
    /// Starts a stock QEMU.
    fn start(test: &str) -> Result<Self> {
        let artifacts = Artifacts::find()?;
        Self::start_qemu(test, &artifacts.qemu_stock, &artifacts)
    }

    /// Starts QEMU with the patches.
    pub(crate) fn start_ours(test: &str) -> Result<Self> {
        let artifacts = Artifacts::find()?;
        Self::start_qemu(test, artifacts.qemu.as_ref().context("no QEMU with the patches")?, &artifacts)
    }

    fn start_qemu(test: &str, qemu: &Path, artifacts: &Artifacts) -> Result<Self> {
        let logs = vm::logs(&format!("cli.{test}"));
        fs::create_dir_all(&logs)?;
        let (plug, monitor) = (UnixSocket::new("monitor")?, socket::name("spare-monitor"));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(qemu).arg("-L").arg(&artifacts.qemu_data);
        command.args([
            "-M",
            "pseries",
            "-cpu",
            "power9_v2.2",
            "-smp",
            "1,maxcpus=2",
            "-S",
            "-nodefaults",
            "-nographic",
        ]);
        command.args(["-device", CORE, "-device", "virtio-rng-pci,id=rng1"]);
        command.args(["-qmp", &format!("unix:{monitor},abstract=on,server=on,wait=off")]);
        command.args(["-qmp", &plug.legacy_chardev()]);
        let output = File::create(logs.join("qemu.log"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("cannot run setpriv")?;
        let stream = plug.accept(&child)?;
        let qmp = Qmp::connect(stream, LogFile::create(&logs.join("qmp.log"))?)?;
        Ok(Self { child, qmp, monitor })
    }

    fn connect(&self) -> Result<UnixStream> {
        Ok(UnixStream::connect_addr(&SocketAddr::from_abstract_name(&self.monitor)?)?)
    }
}

impl Drop for Unbooted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for a device, and waits until the VM has accepted the request.
fn ask(vm: &Unbooted, device: &str) -> Result<Program> {
    let mut asking = Program::start(&vm.monitor, &["unplug", device])?;
    assert!(asking.note()?.contains("this VM's QEMU gives no reason"));
    assert!(asking.note()?.contains("the VM does not run (prelaunch)"));
    Ok(asking)
}

#[test]
fn device_that_goes_with_a_reset_was_not_released() -> Result<()> {
    let mut vm = Unbooted::start("reset")?;
    let asking = ask(&vm, "cpu1")?;
    vm.qmp.execute("system_reset", json!({}))?;
    let ended = asking.end()?;
    assert_eq!(ended.status, Some(4), "{ended:?}");
    assert!(ended.text.starts_with("cpu1: closed by reset\n"), "{ended:?}");
    Ok(())
}

/// QEMU sends `RESET` before the `DEVICE_DELETED` of a PCI device, and after that of a CPU.
#[test]
fn pci_device_that_goes_with_a_reset_was_not_released() -> Result<()> {
    let mut vm = Unbooted::start("reset-pci")?;
    let asking = ask(&vm, "rng1")?;
    vm.qmp.execute("system_reset", json!({}))?;
    let ended = asking.end()?;
    assert_eq!(ended.status, Some(4), "{ended:?}");
    assert!(ended.text.starts_with("rng1: closed by reset\n"), "{ended:?}");
    Ok(())
}

#[test]
fn path_with_a_slash_at_its_end_names_the_device() -> Result<()> {
    let mut vm = Unbooted::start("slash")?;
    let asking = ask(&vm, "/machine/peripheral/cpu1/")?;
    vm.qmp.execute("system_reset", json!({}))?;
    assert_eq!(asking.end()?.status, Some(4));
    Ok(())
}

#[test]
fn vm_that_quits_leaves_the_outcome_unknown() -> Result<()> {
    let mut vm = Unbooted::start("quit")?;
    let asking = ask(&vm, "cpu1")?;
    vm.qmp.execute("quit", json!({}))?;
    let ended = asking.end()?;
    assert_eq!(ended.status, Some(5), "{ended:?}");
    assert!(ended.notes.contains("the VM is shutting down"), "{ended:?}");
    Ok(())
}

#[test]
fn vm_that_is_killed_leaves_the_outcome_unknown() -> Result<()> {
    let mut vm = Unbooted::start("killed")?;
    let asking = ask(&vm, "cpu1")?;
    vm.child.kill()?;
    assert_eq!(asking.end()?.status, Some(5));
    Ok(())
}

#[test]
fn watch_of_a_vm_that_quits_succeeds() -> Result<()> {
    let mut vm = Unbooted::start("watch")?;
    let mut watch = Program::start(&vm.monitor, &["watch"])?;
    watch.note()?;
    vm.qmp.execute("quit", json!({}))?;
    let ended = watch.end()?;
    assert_eq!((ended.status, ended.text.as_str(), ended.notes.as_str()), (Some(0), "", ""));
    Ok(())
}

#[test]
fn device_that_does_not_exist_is_rejected() -> Result<()> {
    let vm = Unbooted::start("none")?;
    let ended = Program::run(&vm.monitor, &["unplug", "none"])?;
    assert_eq!(ended.status, Some(6), "{ended:?}");
    assert!(ended.text.contains("(DeviceNotFound)\n  what to do: name the id"), "{ended:?}");
    Ok(())
}

#[test]
fn stock_qemu_has_no_list() -> Result<()> {
    let vm = Unbooted::start("list")?;
    let ended = Program::run(&vm.monitor, &["list"])?;
    assert_eq!(ended.status, Some(7), "{ended:?}");
    Ok(())
}

#[test]
fn monitor_that_is_held_is_used_once_it_is_released() -> Result<()> {
    let vm = Unbooted::start("held")?;
    let holder = vm.connect()?;
    let mut listing = Program::start(&vm.monitor, &["list"])?;
    assert!(listing.note()?.contains("another program, such as libvirt, may hold it"));
    drop(holder);
    assert_eq!(listing.end()?.status, Some(7));
    Ok(())
}
