// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a kernel is and what the module finds in it, as a guest of it says.

use crate::{
    artifacts::Artifacts,
    observe::modinfo::Modinfo,
    pairing::Pairing,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A kernel, with the module loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// As `uname -r` has it.
    pub release: String,
    /// The size of a page, in KiB.
    pub page_kib: u32,
    /// Whether the kernel has a tracepoint for RTAS calls.
    pub traces_rtas: bool,
    /// The face that the module shows.
    pub face: String,
    /// What its probes are: `fprobe` or `kretprobe`.
    pub probes: String,
    /// The functions that the module has a probe on.
    pub probed: Vec<String>,
    /// Those that it looked for and did not find.
    pub absent: Vec<String>,
    /// Whose VMM it was.
    pub vmm: String,
    /// What the module said of itself there as it was loaded.
    pub said: String,
    /// The module's version, as the kernel has it.
    pub srcversion: String,
    /// The size of its file without what debuggers read, in bytes.
    pub module_bytes: u64,
    /// What it takes of the guest's memory, in bytes.
    pub loaded_bytes: u64,
}

impl Survey {
    /// Boots such a guest and asks it, in our VMM if there is one. Its logs go to `target/vm/survey`.
    pub fn take(artifacts: &Artifacts) -> Result<Self> {
        let pairing = if artifacts.qemu.is_some() { Pairing::OURS } else { Pairing::OURS_ON_STOCK };
        let start = Start::with_slof();
        let mut vm = Vm::launch_as(artifacts, pairing, Machine::Pseries, &start, "survey")?.up()?;
        let (probed, absent): (Vec<_>, Vec<_>) =
            vm.probes()?.into_iter().partition(|probe| probe.state.starts_with("active"));
        let symbols = |probes: Vec<crate::guest::module::Probe>| probes.into_iter().map(|probe| probe.symbol).collect();
        let pages = vm.guest.sh("while read name size unit; do [ $name != KernelPageSize: ] || break; done \
             < /proc/self/smaps; echo $size")?;
        let said = vm.kernel_log()?.iter().rev().find_map(|line| Some(line.split_once("] papr_unplug: watching")?.1));
        let said = format!("watching{}", said.context("the module did not say that it watches")?);
        let modinfo = Modinfo::read(&artifacts.module)?;
        let survey = Self {
            release: vm.guest.sh("uname -r")?.trim().to_owned(),
            page_kib: pages.trim().parse().context("this is no page size")?,
            traces_rtas: vm.guest.run("[ -e /sys/kernel/tracing/events/powerpc/rtas_input ]")?.status == 0,
            face: modinfo.get("face").unwrap_or_default().to_owned(),
            probes: modinfo.get("probes").unwrap_or_default().to_owned(),
            probed: symbols(probed),
            absent: symbols(absent),
            vmm: pairing.vmm.to_string(),
            said,
            srcversion: vm.guest.sh("cat /sys/module/papr_unplug/srcversion")?.trim().to_owned(),
            loaded_bytes: vm.guest.sh("cat /sys/module/papr_unplug/coresize")?.trim().parse()?,
            module_bytes: artifacts.module.metadata()?.len(),
        };
        vm.inspect()?;
        Ok(survey)
    }
}
