// SPDX-License-Identifier: MIT OR Apache-2.0

//! kexec: another kernel that runs after the guest's own without a reset, on request or after a panic. The guest needs
//! `/boot` ([`Start::has_boot_files`](crate::vmm::qemu::Start::has_boot_files)) and a kernel with `CONFIG_KEXEC_FILE`.

use crate::{observe::kernel_log, vm::Vm};
use anyhow::{Context as _, Result, ensure};

/// Kernel and initramfs of the guest, as arguments of `tests/guest/kexec`.
const BOOTED: &str = "/boot/vmlinux /boot/initramfs.cpio";

/// First line of every kernel's log.
const FIRST_WORDS: &str = "Linux version";

impl Vm {
    /// Loads the guest's own kernel for [`Vm::start_kernel`]. That kernel does not see DIMMs that were added since the
    /// guest booted (`docs/adr/0068-kexec-and-crash-kernels-during-a-removal.md`).
    pub fn load_kernel(&mut self) -> Result<()> {
        self.guest.sh(&format!("kexec {BOOTED} \"$(cat /proc/cmdline)\"")).map(drop)
    }

    /// Loads the guest's own kernel as crash kernel. The guest must have been booted with `crashkernel=`.
    pub fn load_crash_kernel(&mut self) -> Result<()> {
        let arguments = "sed 's/crashkernel=[^ ]*/nr_cpus=1/' /proc/cmdline";
        self.guest.sh(&format!("kexec -p {BOOTED} \"$({arguments})\"")).map(drop)
    }

    /// Starts the kernel that was loaded, and does not wait. The old kernel first shuts its devices down; the shell may
    /// end before it can report that it has started the command.
    pub fn start_kernel(&mut self) -> Result<()> {
        self.guest.start("kexec -e &").map(drop)
    }

    /// Makes the kernel panic and waits until the crash kernel is up. Fails if the kernel log holds any other report.
    pub fn crash(&mut self) -> Result<()> {
        let _gone = self.guest.start("echo c > /proc/sysrq-trigger")?;
        self.console.wait_for("sysrq: Trigger a crash").context("waiting for the panic")?;
        let reports = kernel_log::reports(self.console.log());
        ensure!(reports.is_empty(), "the guest's kernel complained before:\n{}", reports.join("\n"));
        self.console.begin_anew(FIRST_WORDS).context("waiting for the crash kernel")?;
        self.await_boot()
    }
}
