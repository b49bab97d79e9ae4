// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask libvirt`: runs the tests with libvirt, which is in a root of its own.

use crate::{
    artifacts::{
        Artifacts, debian_kernel::DebianKernel, flavour::Flavour, guest_kernel::GuestKernel, libvirt::Libvirt, source,
    },
    cache::Store,
    command::{pci, test},
    roots::libvirt::LIBVIRT_ROOT,
};
use anyhow::Result;
use papr_unplug_tests::libvirt::refusals;
use std::path::Path;

/// The variable with the program that runs commands beside libvirt; `papr-unplug-tests` reads it.
const VARIABLE: &str = "PAPR_UNPLUG_LIBVIRT";

/// The packages with tests: of what libvirt tells, and of the program that asks it.
const PACKAGES: [&str; 4] = ["--package", "papr-unplug-tests", "--package", "papr-unplug-cli"];

/// The tests.
const TESTS: &str = "(binary(libvirt) | test(/^libvirt::/))";

/// The part of the names of tests that need a QEMU with this project's protocol.
const OURS: &str = "ours::";

/// The tests whose guests have a distribution's programs.
const OF_DISTRIBUTION: &str = "test(/::card_/)";

/// The part of the names of tests that need a libvirt with this project's patches.
const PATCHED: &str = "patched::";

/// Runs the tests, with a libvirt that is built or with Debian's newest.
pub(crate) fn run(store: &Store, built: Option<Libvirt>) -> Result<()> {
    let root = store.ensure(&built.map_or_else(|| LIBVIRT_ROOT.recipe(), Libvirt::recipe))?;
    let enter = root.file();
    let variables: &[(&str, &Path)] = &[(VARIABLE, &enter)];
    let artifacts = Artifacts::ensure(store, Flavour::Default)?;
    let forky = GuestKernel::Debian(DebianKernel::Forky);
    let of_distribution = Artifacts::with_programs(store, &forky)?;
    let mut filter = TESTS.to_owned();
    if !artifacts.has_our_qemu() {
        store.progress.say("    left out: tests with our QEMU, which is not built where you bring a QEMU");
        filter += &format!(" & not test(/{OURS}/)");
    }
    if built != Some(Libvirt::Patched) {
        filter += &format!(" & not test(/{PATCHED}/)");
    }
    let arguments = |which: &str| {
        let filter = format!("{filter} & {which}");
        let options = ["--run-ignored", "only", "--success-output", "final", "-E", &filter];
        PACKAGES.iter().copied().chain(options).map(str::to_owned).collect::<Vec<_>>()
    };
    let others = arguments(&format!("not {OF_DISTRIBUTION}"));
    test::nextest(store, (&artifacts, test::FILE), &others, variables)?;
    test::nextest(store, (&of_distribution, &pci::file(&forky)), &arguments(OF_DISTRIBUTION), variables)
}

/// Times refusals, with the libvirt of Debian's stable release and with the same one patched.
pub(crate) fn time(store: &Store, number: usize) -> Result<()> {
    let [stock, patched] = store.ensure_all([&Libvirt::Stock.recipe(), &Libvirt::Patched.recipe()])?;
    let artifacts = Artifacts::ensure(store, Flavour::Default)?.for_harness()?;
    println!("libvirt {}, {number} refusals of the last CPU:", stock.fact(source::VERSION));
    for (name, libvirt) in [("stock", &stock), ("patched", &patched)] {
        let times = refusals::time(&artifacts, &libvirt.file(), number)?;
        println!("{name:<8} {times}");
    }
    Ok(())
}
