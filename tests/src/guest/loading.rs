// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest whose only process loads the module and ends, which ends the VM. It needs nothing but a kernel and a console,
//! so it shows what the module logs on kernels and machines that have little else.

use crate::{
    artifacts::Artifacts,
    guest::console::Console,
    pairing::Side,
    vm::{empty_directory, logs},
    vmm::{
        machine::Machine,
        qemu::{Qemu, Start},
    },
};
use anyhow::{Context as _, Result};

/// Kernel arguments that make `insmod` the first process.
const ALONE: &str = "rdinit=/bin/busybox -- insmod /lib/modules/papr_unplug.ko";

/// Console output of such a guest.
#[derive(Debug)]
pub struct Loading(Vec<String>);

impl Loading {
    /// Boots such a guest and waits for its end. Logs go to `target/vm/NAME`.
    pub fn watch(artifacts: &Artifacts, machine: Machine, name: &str) -> Result<Self> {
        let start = Start::with_kernel_arguments(ALONE);
        let qemu = Qemu::start(artifacts, Side::Stock, machine, &start, &empty_directory(&logs(name))?)?;
        let mut console = Console::of(&qemu.console)?;
        console.wait_for_end().context("waiting for the guest to end")?;
        Ok(Self(console.log().to_vec()))
    }

    /// Returns the lines that the module logged, each once: busybox tries two system calls to load a module.
    pub fn module_said(&self) -> Vec<&str> {
        let mut said: Vec<_> = self.0.iter().filter_map(|line| Some(line.split_once("] papr_unplug: ")?.1)).collect();
        // Lines about the module that the kernel itself logs.
        let kernels = ["loading out-of-tree module", "module verification failed"];
        said.retain(|line| !kernels.iter().any(|begin| line.starts_with(begin)));
        said.dedup();
        said
    }

    /// Returns the error that `insmod` printed, if any.
    pub fn error(&self) -> Option<&str> {
        self.0
            .iter()
            .find_map(|line| line.split_once("insmod: can't insert '/lib/modules/papr_unplug.ko': "))
            .map(|(_, why)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_read_once_from_the_console() {
        let lines = [
            "[    4.0] papr_unplug: loading out-of-tree module taints kernel.",
            "[    4.0] papr_unplug: module verification failed: signature and/or required key missing - tainting kernel",
            "[    4.1] papr_unplug: not here",
            "[    4.2] papr_unplug: not here",
            "insmod: can't insert '/lib/modules/papr_unplug.ko': No such device",
            "[    4.3] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
        ];
        let loading = Loading(lines.map(str::to_owned).to_vec());
        assert_eq!(loading.module_said(), ["not here"]);
        assert_eq!(loading.error(), Some("No such device"));
    }
}
