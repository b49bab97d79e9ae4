// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trial of the Debian packages.

use crate::command::package::{
    HIGHER, VERSION,
    trial::{Packages, Trial, is_installed, module, no_module_is_left, nothing_is_left, paths},
};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

pub(super) fn in_guest(trial: &mut Trial<'_>, packages: &Packages, headers: &[PathBuf]) -> Result<()> {
    let release = trial.release().to_owned();
    trial.run("uname -rm")?;
    let (_, has_rust) = trial.try_run("command -v rustc")?;
    ensure!(!has_rust, "there is a Rust in the guest");

    trial.run(&format!("dpkg -i {}", paths(&packages.made.guest)))?;
    let status = trial.run("dkms status")?;
    ensure!(is_installed(&status, VERSION, &release), "DKMS has not installed the module: {status}");
    let build = trial.run(&format!("modinfo -F build {}", module(&release)))?;
    ensure!(build == "standalone\n", "the module is of another build: {build}");
    trial.run("cat /usr/lib/modules-load.d/papr-unplug.conf")?;

    let sources = format!("/usr/src/papr-unplug-{VERSION}");
    trial.run(&format!("cp -r {sources} $HOME/sources && rm $HOME/sources/guest-module/*_shipped"))?;
    let (said, built) = trial.try_run(&format!("make -C /lib/modules/{release}/build M=$HOME/sources modules"))?;
    ensure!(!built && said.contains("cargo xtask object"), "make does not say what is missing: {said}");
    trial.run("rm -r $HOME/sources")?;

    trial.run(&format!("dpkg -i {}", paths(&packages.higher)))?;
    let status = trial.run("dkms status")?;
    ensure!(is_installed(&status, HIGHER, &release), "the upgrade was not built: {status}");
    ensure!(!status.contains(&format!("papr-unplug/{VERSION},")), "the old version has stayed: {status}");

    trial.run(&format!("dpkg -i {}", paths(headers)))?;
    let status = trial.run("dkms status")?;
    let newer = status.lines().filter_map(|line| line.split(", ").nth(1)).find(|found| *found != release);
    let newer = newer.context("the module was not built for the kernel that came later")?.to_owned();
    ensure!(is_installed(&status, HIGHER, &newer), "the module was not installed for the newer kernel: {status}");
    ensure!(is_installed(&status, HIGHER, &release), "the module was removed from the first kernel: {status}");
    trial.run(&format!("modinfo -F vermagic {}", module(&newer)))?;

    trial.run("dpkg --purge papr-unplug-dkms")?;
    no_module_is_left(trial)
}

pub(super) fn on_host(trial: &mut Trial<'_>, packages: &[PathBuf]) -> Result<()> {
    trial.run(&format!("dpkg -i {}", paths(packages)))?;
    let explained = trial.run("papr-unplug explain last-cpu")?;
    ensure!(explained.contains("last-cpu"), "`papr-unplug explain` does not explain: {explained}");
    // libc-bin's trigger is not registered, because its scripts were not run.
    trial.run("ldconfig")?;
    let library = trial.run("ldconfig -p | grep papr")?;
    ensure!(library.contains("libpapr_unplug"), "the loader does not find the library: {library}");
    trial.run("pkg-config --modversion papr-unplug")?;
    trial.run("dpkg --purge libpapr-unplug-dev libpapr-unplug0 papr-unplug")?;
    nothing_is_left(trial)
}
