// SPDX-License-Identifier: MIT OR Apache-2.0

//! What keeps memory busy, with nothing but stock means.

use crate::{
    device::dimm::{Dimm, TWO_LMBS},
    guest::shell::Shell,
    removal::Asked,
    vm::Vm,
};
use anyhow::{Context as _, Result};

/// Where the kernel's error injection for memory notifiers is (`CONFIG_MEMORY_NOTIFIER_ERROR_INJECT`).
const INJECTION: &str = "/sys/kernel/debug/notifier-error-inject/memory/actions";

/// What holds pages. It must be let go of for the removal to end.
#[derive(Debug)]
#[must_use = "the pages are held until it is let go of"]
pub struct Holder {
    pids: String,
}

impl Shell {
    /// From now on, any memory that is to go offline is busy (-EBUSY from a memory notifier).
    pub fn veto_offlining(&mut self) -> Result<()> {
        self.inject_memory_error("MEM_GOING_OFFLINE", -16)
    }

    /// No more.
    pub fn allow_offlining(&mut self) -> Result<()> {
        self.inject_memory_error("MEM_GOING_OFFLINE", 0)
    }

    /// From now on, a memory notifier returns this for the action, see Linux `include/linux/memory.h`.
    pub fn inject_memory_error(&mut self, action: &str, errno: i32) -> Result<()> {
        self.sh(&format!(
            "if ! [ -e {INJECTION} ]; then \
             insmod /lib/modules/notifier-error-inject.ko && insmod /lib/modules/memory-notifier-error-inject.ko; fi"
        ))?;
        self.sh(&format!("echo {errno} > {INJECTION}/{action}/error")).map(drop)
    }
}

impl Vm {
    /// See [`Shell::veto_offlining`].
    pub fn veto_offlining(&mut self) -> Result<()> {
        self.guest.veto_offlining()
    }

    /// See [`Shell::allow_offlining`].
    pub fn allow_offlining(&mut self) -> Result<()> {
        self.guest.allow_offlining()
    }

    /// Takes the first LMB of a DIMM offline. The kernel then takes it away without asking any notifier, so a veto meets
    /// the second LMB first.
    pub fn put_first_lmb_offline(&mut self, dimm: &Dimm) -> Result<()> {
        self.set_block(dimm.first_block(), "offline")
    }

    /// Puts a memory block in a state, see Linux `Documentation/admin-guide/mm/memory-hotplug.rst`.
    pub fn set_block(&mut self, block: u64, state: &str) -> Result<()> {
        self.guest.sh(&format!("echo {state} > /sys/devices/system/memory/memory{block}/state")).map(drop)
    }

    /// What DIMMs that come from now on are put online as: `online_movable` (as a VM boots here) or `online_kernel`.
    pub fn set_online_type(&mut self, online_type: &str) -> Result<()> {
        self.guest.sh(&format!("echo {online_type} > /sys/devices/system/memory/auto_online_blocks")).map(drop)
    }

    /// Holds pages that can be moved in principle and not now: a removal of their DIMM neither succeeds nor fails, it
    /// goes on until they are let go of.
    ///
    /// A file's pages are spliced into a pipe that nobody reads on from. They are of the movable zone, which only
    /// hot-plugged memory is in.
    pub fn hold_pages(&mut self) -> Result<Holder> {
        const HOLD: &[&str] = &[
            "mkfifo /tmp/held /tmp/begun",
            "dd if=/dev/zero of=/tmp/pages bs=1M count=4 2>/dev/null",
            "{ { dd bs=1 count=1 >/dev/null 2>&1; echo > /tmp/begun; exec sleep 1000000; } < /tmp/held & }",
            "reader=$!",
            "{ cat /tmp/pages > /tmp/held & }",
            "writer=$!",
            "cat /tmp/begun",
            "rm /tmp/held /tmp/begun",
            "echo $reader $writer",
        ];
        let pids = self.guest.sh(&HOLD.join(" && "))?.trim().to_owned();
        Ok(Holder { pids })
    }

    /// Waits until a removal has found the pages that are held.
    pub fn await_held_removal(&mut self) -> Result<()> {
        self.console.wait_for("migrating pfn").context("waiting for the kernel to find a page that is held")
    }

    /// A DIMM of two LMBs that is asked for, while pages in its first one are held.
    pub fn removal_under_way(&mut self) -> Result<(Dimm, Holder, Asked)> {
        let dimm = self.plug_dimm(TWO_LMBS)?;
        let second = dimm.first_block() + 1;
        self.set_block(second, "offline")?;
        let holder = self.hold_pages()?;
        self.set_block(second, "online_movable")?;
        let asked = self.ask(&dimm)??;
        self.await_held_removal()?;
        Ok((dimm, holder, asked))
    }

    /// Lets go of the pages.
    pub fn let_go(&mut self, Holder { pids }: Holder) -> Result<()> {
        self.guest.sh(&format!("kill {pids} && rm /tmp/pages")).map(drop)
    }
}
