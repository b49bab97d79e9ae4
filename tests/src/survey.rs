// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a kernel is and what the module finds in it, as a guest of it says.

use crate::{artifacts::Artifacts, modinfo::Modinfo, pairing::Pairing, vm::Vm};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A kernel, with the module loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// As `uname -r` has it.
    pub release: String,
    /// The size of a page, in KiB.
    pub page_kib: u32,
    /// The face that the module shows.
    pub face: String,
    /// The functions that the module has a probe on.
    pub probed: Vec<String>,
    /// Those that it looked for and did not find.
    pub absent: Vec<String>,
    /// What the module said of itself as it was loaded.
    pub said: String,
    /// The size of its file, in bytes.
    pub module_bytes: u64,
}

impl Survey {
    /// Boots such a guest and asks it. Its logs go to `target/vm/survey`.
    pub fn take(artifacts: &Artifacts) -> Result<Self> {
        let mut vm = Vm::launch(artifacts, Pairing::OURS_ON_STOCK, "survey")?.up()?;
        let (probed, absent): (Vec<_>, Vec<_>) =
            vm.probes()?.into_iter().partition(|probe| probe.state.starts_with("active"));
        let symbols = |probes: Vec<crate::module::Probe>| probes.into_iter().map(|probe| probe.symbol).collect();
        let pages = vm.guest.sh("while read name size unit; do [ $name != KernelPageSize: ] || break; done \
             < /proc/self/smaps; echo $size")?;
        let said = vm.kernel_log()?.iter().rev().find_map(|line| Some(line.split_once("] papr_unplug: watching")?.1));
        let said = format!("watching{}", said.context("the module did not say that it watches")?);
        let survey = Self {
            release: vm.guest.sh("uname -r")?.trim().to_owned(),
            page_kib: pages.trim().parse().context("this is no page size")?,
            face: Modinfo::read(&artifacts.module)?.get("face").unwrap_or_default().to_owned(),
            probed: symbols(probed),
            absent: symbols(absent),
            said,
            module_bytes: artifacts.module.metadata()?.len(),
        };
        vm.inspect()?;
        Ok(survey)
    }
}
