// SPDX-License-Identifier: MIT OR Apache-2.0

//! Agent in the guest: the program that reads the log of RTAS events and handles requests for PCI devices, and `drmgr`,
//! which it runs. Debian's is `rtas_errd`.

use crate::{device::pci::Function, guest::shell::Shell, vm::Vm};
use anyhow::Result;

/// The log of RTAS events.
pub const LOG: &str = "/proc/powerpc/rtas/error_log";

/// The file that `drmgr` locks while it runs.
const LOCK: &str = "/run/lock/dr_config_lock";

/// The path of `drmgr`, by which `rtas_errd` runs it.
const DRMGR: &str = "/usr/sbin/drmgr";

/// The environment that an init gives to a daemon.
const ENVIRONMENT: &str = "PATH=/usr/sbin:/usr/bin:/bin";

/// `drmgr` that an administrator of the guest has started, and that has the lock until it is let go on.
#[derive(Debug)]
#[must_use = "it has the lock until it is let go on"]
pub struct HeldLock(());

impl Shell {
    /// Starts `rtas_errd`, and waits until it waits for events.
    pub fn start_agent(&mut self) -> Result<()> {
        self.sh(&format!("{ENVIRONMENT} /usr/sbin/rtas_errd"))?;
        self.await_reader("rtas_errd")
    }

    /// Waits until a program of this name, the only one, waits for events.
    pub fn await_reader(&mut self, name: &str) -> Result<()> {
        let waits = format!("grep -qs rtas_log_read /proc/$(pidof {name})/wchan");
        self.sh(&format!("until {waits}; do :; done")).map(drop)
    }
}

impl Vm {
    /// Starts `rtas_errd`, and waits until it waits for events.
    pub fn start_agent(&mut self) -> Result<()> {
        self.guest.start_agent()
    }

    /// Puts our agent in the place of `drmgr`, as its drop-in for `rtas_errd.service` does.
    pub fn stand_before_drmgr(&mut self) -> Result<()> {
        let aside = format!("mkdir -p /run/papr-unplug && cp {DRMGR} /run/papr-unplug/drmgr");
        self.guest.sh(&format!("{aside} && mount --bind /usr/sbin/papr-unplug-agent {DRMGR}")).map(drop)
    }

    /// Waits until a program of this name, the only one, waits for events.
    pub fn await_reader(&mut self, name: &str) -> Result<()> {
        self.guest.await_reader(name)
    }

    /// Sends a signal, such as `KILL`, to the programs of this name.
    pub fn signal(&mut self, signal: &str, name: &str) -> Result<()> {
        self.guest.sh(&format!("killall -{signal} {name}")).map(drop)
    }

    /// Kills `rtas_errd`, and waits until it is gone.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.signal("KILL", "rtas_errd")?;
        self.guest.sh("while pidof rtas_errd >/dev/null; do :; done").map(drop)
    }

    /// Waits until `drmgr` runs and has its lock.
    pub fn await_drmgr(&mut self) -> Result<()> {
        // A line there is `1: POSIX  ADVISORY  WRITE 123 00:18:45 0 EOF`, with the process before the file.
        let has_lock = "pid=$(pidof drmgr) && grep -q \" POSIX .* $pid \" /proc/locks";
        self.guest.sh(&format!("until {has_lock}; do :; done")).map(drop)
    }

    /// Waits until `drmgr` runs and has its lock, and stops it.
    pub fn stop_drmgr_at_work(&mut self) -> Result<()> {
        self.await_drmgr()?;
        self.signal("STOP", "drmgr")
    }

    /// Takes `drmgr` away, so that it cannot be run.
    pub fn hide_drmgr(&mut self) -> Result<()> {
        self.guest.sh(&format!("mv {DRMGR} {DRMGR}.hidden")).map(drop)
    }

    /// Ends [`Vm::hide_drmgr`].
    pub fn restore_drmgr(&mut self) -> Result<()> {
        self.guest.sh(&format!("mv {DRMGR}.hidden {DRMGR}")).map(drop)
    }

    /// Replaces `drmgr` by a shell script of this one line.
    pub fn replace_drmgr(&mut self, script: &str) -> Result<()> {
        self.hide_drmgr()?;
        self.guest.sh(&format!("printf '#!/bin/sh\\n%s\\n' '{script}' > {DRMGR} && chmod 755 {DRMGR}")).map(drop)
    }

    /// Lets the administrator begin with `drmgr` on a function, which waits for an answer and has the lock meanwhile.
    pub fn hold_lock(&mut self, function: &Function) -> Result<HeldLock> {
        let identify = format!("{DRMGR} -c pci -i -s {:#x} -V", function.connector().0);
        let begin = format!("{{ {identify} < /tmp/answer > /tmp/identified 2>&1 & }}");
        self.guest.sh(&format!("mkfifo /tmp/answer; {begin}; exec 4> /tmp/answer"))?;
        self.await_drmgr()?;
        Ok(HeldLock(()))
    }

    /// Lets `drmgr` go on, and waits until it has ended.
    pub fn release_lock(&mut self, _: HeldLock) -> Result<()> {
        self.guest.sh("echo >&4; exec 4>&-; rm /tmp/answer; while pidof drmgr >/dev/null; do :; done").map(drop)
    }

    /// Returns whether any program has the lock of `drmgr`.
    pub fn is_locked(&mut self) -> Result<bool> {
        let output = self.guest.run(&format!("grep -q \":$(stat -c %i {LOCK}) \" /proc/locks"))?;
        Ok(output.status == 0)
    }
}
