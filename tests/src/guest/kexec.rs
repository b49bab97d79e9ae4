// SPDX-License-Identifier: MIT OR Apache-2.0

//! Another kernel that the guest's own starts without a reset, because it is told to or after a panic. It takes a guest
//! that carries itself, and a kernel with `CONFIG_KEXEC_FILE`.

use crate::{observe::kernel_log, vm::Vm};
use anyhow::{Context as _, Result, ensure};

/// What a guest that carries itself was booted from, as `tests/guest/kexec` takes it.
const BOOTED: &str = "/boot/vmlinux /boot/initramfs.cpio";

/// What a kernel says first.
const FIRST_WORDS: &str = "Linux version";

impl Vm {
    /// Has the kernel load the one that the guest was booted from. That one will know of no DIMM that has come since
    /// (`docs/adr/0068-kexec-and-crash-kernels-during-a-removal.md`).
    pub fn load_kernel(&mut self) -> Result<()> {
        self.guest.sh(&format!("kexec {BOOTED} \"$(cat /proc/cmdline)\"")).map(drop)
    }

    /// The same for the case of a panic. It takes a guest that was booted with `crashkernel=`.
    pub fn load_crash_kernel(&mut self) -> Result<()> {
        let arguments = "sed 's/crashkernel=[^ ]*/nr_cpus=1/' /proc/cmdline";
        self.guest.sh(&format!("kexec -p {BOOTED} \"$({arguments})\"")).map(drop)
    }

    /// Has the kernel start the one that it has loaded, and does not wait: it first shuts its devices down. The shell may end
    /// before it can say that it has started the command.
    pub fn start_kernel(&mut self) -> Result<()> {
        self.guest.start("kexec -e &").map(drop)
    }

    /// Has the kernel panic, and waits until the crash kernel is up. Nothing must be wrong with either but that.
    pub fn crash(&mut self) -> Result<()> {
        let _gone = self.guest.start("echo c > /proc/sysrq-trigger")?;
        self.console.wait_for("sysrq: Trigger a crash").context("waiting for the panic")?;
        let reports = kernel_log::reports(self.console.log());
        ensure!(reports.is_empty(), "the guest's kernel complained before:\n{}", reports.join("\n"));
        self.console.begin_anew(FIRST_WORDS).context("waiting for the crash kernel")?;
        self.await_boot()
    }
}
