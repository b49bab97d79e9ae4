// SPDX-License-Identifier: GPL-2.0-only

//! Tells the hypervisor of a pseries guest when the guest refuses to give a CPU or memory back.
//!
//! PAPR lets a hypervisor ask for a removal and gives the guest no way to say no; stock Linux hints at some refusals
//! and keeps silent about the others. This module watches the kernel's removal path and breaks that silence, with the
//! same hint (level 0 of the protocol in `spec/`).
//!
//! In the order that data flows: [`sentry`] puts a [`probe`] on each function of the path; each reports to the watch in
//! [`logic`], which decides; a refusal is told through [`firmware`]; what a probe must not do is left to a [`worker`]
//! that makes the [`report`]; and [`files`] shows it all in debugfs. [`shim`] is the little C that this takes.

pub mod logic;
#[path = "../spec/wire/src/wire/mod.rs"]
pub mod wire;

mod files;
mod firmware;
mod probe;
mod report;
mod sentry;
mod shim;
mod worker;

use crate::{files::Files, firmware::Firmware, logic::watch::Watch, report::Report, sentry::Sentry, worker::Worker};
use kernel::{prelude::*, sync::Arc};

module! {
    type: PaprUnplug,
    name: "papr_unplug",
    authors: ["The papr-unplug authors"],
    description: "Tells the hypervisor of a pseries guest which removals the guest refuses",
    license: "GPL",
}

/// The watch, which begins anew with each load of the module.
static WATCH: Watch = Watch::new();

struct PaprUnplug {
    // Dropped in this order: no reader, then no probe, then no work.
    _files: Files,
    sentry: Arc<Sentry>,
    _worker: Arc<Worker<Report>>,
}

impl kernel::Module for PaprUnplug {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: They only look at what the kernel was built with and found at boot.
        let (pseries, return_probes) = unsafe { (shim::papr_is_pseries(), shim::papr_has_return_probes()) };
        if !pseries {
            pr_err!("this is no pseries guest: no hypervisor asks for removals here\n");
            return Err(ENODEV);
        }
        if !return_probes {
            pr_err!("this kernel has no return probes (CONFIG_KPROBES): refusals cannot be seen\n");
            return Err(EOPNOTSUPP);
        }
        let firmware = Firmware::find().ok_or(ENODEV).inspect_err(|_| {
            pr_err!("this machine's firmware has no RTAS calls for DR connectors: refusals cannot be told\n");
        })?;

        let report = Arc::new(Report::new(&WATCH, firmware), GFP_KERNEL)?;
        let worker = Arc::new(Worker::new(report)?, GFP_KERNEL)?;
        let sentry = Arc::new(Sentry::post(&worker, firmware)?, GFP_KERNEL)?;
        let files = files::create(&WATCH, &sentry)?;
        pr_info!("watching removals; refusals are signalled by a null transition (level 0)\n");
        Ok(Self { _files: files, sentry, _worker: worker })
    }
}

impl Drop for PaprUnplug {
    fn drop(&mut self) {
        let missed = self.sentry.missed();
        if missed != 0 {
            pr_warn!("{} calls went by unseen; a refusal among them was not told\n", missed);
        }
    }
}
