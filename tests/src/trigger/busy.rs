// SPDX-License-Identifier: MIT OR Apache-2.0

//! Busy memory, by stock means of Linux.

use crate::{
    device::dimm::{Dimm, TWO_LMBS},
    guest::shell::Shell,
    removal::Request,
    vm::Vm,
};
use anyhow::{Context as _, Result};

/// Error injection for memory notifiers (`CONFIG_MEMORY_NOTIFIER_ERROR_INJECT`).
const INJECTION: &str = "/sys/kernel/debug/notifier-error-inject/memory/actions";

/// Pages that are held. A removal of their memory does not end before they are released.
#[derive(Clone, Debug)]
#[must_use = "the pages are held until it is let go of"]
pub struct HeldPages {
    pids: String,
}

impl Shell {
    /// Makes a memory notifier refuse with EBUSY to take any memory offline.
    pub fn veto_offlining(&mut self) -> Result<()> {
        self.inject_memory_error("MEM_GOING_OFFLINE", -16)
    }

    /// Ends [`Shell::veto_offlining`].
    pub fn allow_offlining(&mut self) -> Result<()> {
        self.inject_memory_error("MEM_GOING_OFFLINE", 0)
    }

    /// Makes a memory notifier return `errno` (0 or negative) for an action of Linux `include/linux/memory.h`.
    pub fn inject_memory_error(&mut self, action: &str, errno: i32) -> Result<()> {
        self.sh(&format!(
            "if ! [ -e {INJECTION} ]; then \
             insmod /lib/modules/notifier-error-inject.ko && insmod /lib/modules/memory-notifier-error-inject.ko; fi"
        ))?;
        let file = format!("{INJECTION}/{action}/error");
        // Kernels between 5.10 and 6.2 without f883c3edd2c4 ("lib/notifier-error-inject: fix error when writing -errno to
        // debugfs file") take no sign.
        let unsigned = i64::from(errno).cast_unsigned();
        self.sh(&format!("echo {errno} > {file} 2>/dev/null || echo {unsigned} > {file}")).map(drop)
    }

    /// Holds pages that cannot be migrated for now: a removal of their DIMM neither succeeds nor fails before they are
    /// released.
    ///
    /// The pages of a file are spliced into a pipe that is not read. They are in the movable zone, which only
    /// hot-plugged memory has.
    pub fn hold_pages(&mut self) -> Result<HeldPages> {
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
        let pids = self.sh(&HOLD.join(" && "))?.trim().to_owned();
        Ok(HeldPages { pids })
    }

    /// Releases the pages.
    pub fn release_pages(&mut self, HeldPages { pids }: HeldPages) -> Result<()> {
        self.sh(&format!("kill {pids} && rm /tmp/pages")).map(drop)
    }
}

impl Vm {
    /// See [`Shell::veto_offlining`].
    pub fn veto_offlining(&mut self) -> Result<()> {
        self.guest.veto_offlining()
    }

    /// Makes a memory notifier refuse with EBUSY to put any memory online, which makes additions fail.
    pub fn veto_onlining(&mut self) -> Result<()> {
        self.guest.inject_memory_error("MEM_GOING_ONLINE", -16)
    }

    /// Ends [`Vm::veto_onlining`].
    pub fn allow_onlining(&mut self) -> Result<()> {
        self.guest.inject_memory_error("MEM_GOING_ONLINE", 0)
    }

    /// See [`Shell::allow_offlining`].
    pub fn allow_offlining(&mut self) -> Result<()> {
        self.guest.allow_offlining()
    }

    /// Takes the first LMB of a DIMM offline. The kernel removes it then without a call to the notifiers, so a veto
    /// meets the second LMB first.
    pub fn put_first_lmb_offline(&mut self, dimm: &Dimm) -> Result<()> {
        self.set_block(dimm.first_block(), "offline")
    }

    /// Sets the state of a memory block, see Linux `Documentation/admin-guide/mm/memory-hotplug.rst`.
    pub fn set_block(&mut self, block: u64, state: &str) -> Result<()> {
        self.guest.sh(&format!("echo {state} > /sys/devices/system/memory/memory{block}/state")).map(drop)
    }

    /// Sets how DIMMs that are added later go online: `online_movable` (the default here) or `online_kernel`.
    pub fn set_online_type(&mut self, online_type: &str) -> Result<()> {
        self.guest.sh(&format!("echo {online_type} > /sys/devices/system/memory/auto_online_blocks")).map(drop)
    }

    /// See [`Shell::hold_pages`].
    pub fn hold_pages(&mut self) -> Result<HeldPages> {
        self.guest.hold_pages()
    }

    /// Waits until a removal has met the pages that are held.
    pub fn await_held_removal(&mut self) -> Result<()> {
        self.console.wait_for("migrating pfn").context("waiting for the kernel to find a page that is held")
    }

    /// Requests a DIMM of two LMBs while pages in its first one are held, and waits until the removal has met them.
    pub fn removal_under_way(&mut self) -> Result<(Dimm, HeldPages, Request)> {
        let dimm = self.plug_dimm(TWO_LMBS)?;
        let second = dimm.first_block() + 1;
        self.set_block(second, "offline")?;
        let pages = self.hold_pages()?;
        self.set_block(second, "online_movable")?;
        let request = self.request(&dimm)??;
        self.await_held_removal()?;
        Ok((dimm, pages, request))
    }

    /// See [`Shell::release_pages`].
    pub fn release_pages(&mut self, pages: HeldPages) -> Result<()> {
        self.guest.release_pages(pages)
    }
}
