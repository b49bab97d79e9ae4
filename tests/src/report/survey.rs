// SPDX-License-Identifier: MIT OR Apache-2.0

//! Survey of a kernel: its version, the module's probes in it, and the module's size.

use crate::{
    artifacts::Artifacts,
    observe::modinfo::Modinfo,
    pairing::Pairing,
    vm::Vm,
    vmm::{machine::Machine, qemu::Start},
};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Survey of a kernel with the module loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// `uname -r`.
    pub release: String,
    /// Page size, in KiB.
    pub page_kib: u32,
    /// True if the kernel has a tracepoint for RTAS calls.
    pub traces_rtas: bool,
    /// Build of the module.
    pub build: String,
    /// Kind of the module's probes: `fprobe` or `kretprobe`.
    pub probes: String,
    /// Functions with a probe.
    pub probed: Vec<String>,
    /// Functions that this kernel lacks.
    pub absent: Vec<String>,
    /// VMM, as [`Side`](crate::pairing::Side) is displayed.
    pub vmm: String,
    /// The module's log line at load.
    pub said: String,
    /// `srcversion` of the module.
    pub srcversion: String,
    /// Size of the module's file without debugging information, in bytes.
    pub module_bytes: u64,
    /// Size of the loaded module, in bytes.
    pub loaded_bytes: u64,
}

impl Survey {
    /// Boots a guest and surveys its kernel, in the patched VMM if there is one. Logs go to `target/vm/survey`.
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
            build: modinfo.get("build").unwrap_or_default().to_owned(),
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
