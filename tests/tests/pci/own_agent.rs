// SPDX-License-Identifier: MIT OR Apache-2.0

//! `papr-unplug-agent`: it refuses what is in use, and gives back the rest.

use crate::{is_released, on_distribution, open, refusal, released, reported};
use anyhow::Result;
use papr_unplug_tests::{
    device::pci::{Function, LOAD_DISK},
    pairing::Pairing,
    removal::Outcome,
    story::story_on,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use papr_unplug_wire::wire::reason::Reason;
use serde_json::Value;

/// Error numbers, as Linux has them.
const EPERM: i64 = 1;
const EBUSY: i64 = 16;

/// Tells a story about a guest with a disk, whose driver is loaded.
fn with_disk<F>(disk: &Function, tell: F)
where
    F: FnOnce(&mut Vm) -> Result<()>,
{
    story_on(Pairing::OURS, Machine::Pseries, &Start::with_distribution(disk.options_of_disk()), tell);
}

/// Starts the agent as the only reader of the log.
pub(crate) fn start(vm: &mut Vm) -> Result<()> {
    vm.guest.sh("{ /usr/sbin/papr-unplug-agent > /tmp/agent.log 2>&1 & }")?;
    vm.await_reader("papr-unplug-agent")
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn mounted_disk_is_refused_as_in_use_and_keeps_its_data() {
    let disk = Function::new(1);
    with_disk(&disk, |vm| {
        vm.mount_disk()?;
        start(vm)?;
        for _ in 0..2 {
            let how = "a file system of the disk is mounted";
            vm.trigger_pci(&disk, &refusal(disk.connector(), Reason::IN_USE, EBUSY, how))?;
        }
        assert!(vm.has_data()?);
        assert!(vm.guest.sh("cat /tmp/agent.log")?.contains("vda is mounted on /mnt"));
        vm.guest.sh("umount /mnt")?;
        released(vm, &disk)
    });
}

/// The agent is in the place of `drmgr`, for `rtas_errd`.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn mounted_disk_is_refused_as_in_use_where_the_agent_stands_before_drmgr() {
    let disk = Function::new(1);
    with_disk(&disk, |vm| {
        vm.mount_disk()?;
        vm.stand_before_drmgr()?;
        vm.start_agent()?;
        for request in [1, 2] {
            assert_eq!(reported(&vm.remove_pci(&disk)?), (request, "in-use".into(), 16));
        }
        assert!(vm.guest.sh("dmesg")?.contains("vda is mounted on /mnt"));
        vm.guest.sh("umount /mnt")?;
        released(vm, &disk)
    });
}

/// The agent claims the disk, and the real `drmgr` inherits the claim.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn disk_cannot_be_mounted_while_drmgr_gives_it_back() {
    let disk = Function::new(1);
    with_disk(&disk, |vm| {
        vm.mount_disk()?;
        vm.guest.sh("umount /mnt && mkdir -p /etc/papr-unplug")?;
        vm.guest.sh("echo 'removal = \"drmgr\"' > /etc/papr-unplug/agent.toml")?;
        vm.stand_before_drmgr()?;
        vm.start_agent()?;
        let request = vm.request_untraced(&disk)?;
        vm.guest.sh("until ls -l /proc/$(pidof drmgr)/fd 2>/dev/null | grep -q /dev/vda; do :; done")?;
        vm.signal("STOP", "drmgr")?;
        let mount = vm.guest.run("mount -t ext4 /dev/vda /mnt")?;
        assert_ne!(mount.status, 0, "{mount:?}");
        vm.signal("CONT", "drmgr")?;
        is_released(&vm.watch_untraced(&request)?);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn swap_space_is_refused_as_in_use() {
    let disk = Function::new(1);
    with_disk(&disk, |vm| {
        vm.guest.sh(&format!("{LOAD_DISK} && mkswap /dev/vda && swapon /dev/vda"))?;
        start(vm)?;
        vm.trigger_pci(&disk, &refusal(disk.connector(), Reason::IN_USE, EBUSY, "the disk is swap space"))?;
        vm.guest.sh("swapoff /dev/vda")?;
        released(vm, &disk)
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn disk_below_the_device_mapper_is_refused_as_in_use() {
    let disk = Function::new(1);
    with_disk(&disk, |vm| {
        vm.guest.sh(&format!("modprobe dm-mod && {LOAD_DISK}"))?;
        let table = "0 32768 linear /dev/vda 0";
        vm.guest.sh(&format!("/usr/sbin/dmsetup create --noudevsync home --table '{table}'"))?;
        start(vm)?;
        for _ in 0..2 {
            let how = "a device of the device mapper stands on the disk";
            vm.trigger_pci(&disk, &refusal(disk.connector(), Reason::IN_USE, EBUSY, how))?;
        }
        assert!(vm.guest.sh("cat /tmp/agent.log")?.contains("home stands on vda"));
        vm.guest.sh("/usr/sbin/dmsetup remove --noudevsync home")?;
        released(vm, &disk)
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn card_goes_and_comes_back_without_drmgr_and_with_it() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        start(vm)?;
        vm.hide_drmgr()?;
        released(vm, &card)?;
        vm.restore_drmgr()?;
        vm.plug_function(&card)?;
        vm.await_reader("papr-unplug-agent")?;
        let removal = vm.remove_pci(&card)?;
        println!("released after {:?}", removal.latency);
        assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}

#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn device_that_the_configuration_keeps_is_refused_as_policy() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        vm.guest.sh("mkdir -p /etc/papr-unplug && echo 'keep = [\"0000:00:01.0\"]' > /etc/papr-unplug/agent.toml")?;
        start(vm)?;
        let how = "the configuration of papr-unplug-agent keeps the device";
        vm.trigger_pci(&card, &refusal(card.connector(), Reason::POLICY, EPERM, how))?;
        vm.guest.sh("rm /etc/papr-unplug/agent.toml")?;
        released(vm, &card)
    });
}

/// The agent waits for the lock that `drmgr` would fail for.
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn request_while_the_lock_is_held_waits_and_is_released() {
    let (card, other) = (Function::new(1), Function::new(2));
    on_distribution(&[&card, &other], |vm| {
        start(vm)?;
        let lock = vm.hold_lock(&other)?;
        let request = vm.request_untraced(&card)?;
        vm.await_begun(&card)?;
        vm.release_lock(lock)?;
        let removal = vm.watch_untraced(&request)?;
        assert_eq!(removal.outcome, Outcome::Released, "{:?}", removal.events);
        assert_eq!(open(vm)?, <[Value; 0]>::default());
        Ok(())
    });
}
