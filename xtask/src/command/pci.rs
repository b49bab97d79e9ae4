// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask pci`: runs the tests about PCI devices, with a distribution's kernel and its programs.

use crate::{
    artifacts::{Artifacts, debian_kernel::DebianKernel, guest_kernel::GuestKernel},
    cache::Store,
    command::test,
};
use anyhow::{Result, ensure};
use std::env;

/// The tests that need no drivers as modules, which our own kernels lack.
const WITHOUT_DRIVERS: &str = "not test(/mounted|swap_space|disk|vfio|driver/)";

/// The tests of Linux 6.1. Kernels remove nodes of the device tree by their index from 6.12 on, and an earlier one meets no
/// obstacle there; VFIO does not work on POWER between 5.19 and 6.4.
const OF_6_1: &str = "not test(/^(device_tree|vfio)::/)";

/// The variable with the number of CPUs of guests; `papr-unplug-tests` reads it.
const CPUS: &str = "PAPR_UNPLUG_CPUS";

/// The tests of guests with several CPUs: QEMU 10.0 under TCG delivers no more interrupts to some of them after a migration,
/// or after a snapshot was loaded (ADR 0066).
const OF_SEVERAL_CPUS: &str = "not test(/^(migration|snapshot)::/)";

/// Runs the tests on this kernel, or those of them that `filters` name.
pub(crate) fn run(store: &Store, kernel: &GuestKernel, filters: &[String]) -> Result<()> {
    let artifacts = Artifacts::with_programs(store, kernel)?;
    ensure!(artifacts.has_our_qemu(), "the tests need our QEMU, which is not built where you bring a QEMU");
    let mut conditions = match kernel {
        GuestKernel::Debian(DebianKernel::Bookworm) => vec![OF_6_1],
        GuestKernel::Debian(_) => Vec::new(),
        _ => vec![WITHOUT_DRIVERS],
    };
    if env::var_os(CPUS).is_some_and(|number| number != "1") {
        store.progress.say("    left out: migrations and snapshots, in which QEMU 10.0 loses CPUs under TCG");
        conditions.push(OF_SEVERAL_CPUS);
    }
    let condition = conditions.join(" & ");
    let mut arguments = vec!["--package", "papr-unplug-tests", "--test", "pci", "--run-ignored", "only"];
    if !condition.is_empty() {
        arguments.extend(["-E", &condition]);
    }
    arguments.extend(filters.iter().map(String::as_str));
    test::nextest(store, (&artifacts, &file(kernel)), &arguments, &[])
}

/// Returns the name of the list of artifacts with a distribution's programs.
pub(crate) fn file(kernel: &GuestKernel) -> String {
    format!("pci/{}.json", kernel.log_name())
}
