// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trial of the RPM packages, with their scripts, by the rpm of a Debian whose own packages rpm does not know.

use crate::command::package::{
    HIGHER, VERSION,
    rpm::with_stand_ins,
    trial::{Packages, Trial, is_installed, module, no_module_is_left, nothing_is_left, paths},
};
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// The options of an installation. What packages require is there, as Debian's packages; and Debian's rpm installs
/// nothing unless it is told to.
const INSTALL: &str = "--nodeps --force-debian";

/// The spec files, with the module's source.
const SPECS: &str = "/packages/rpm";

pub(super) fn in_guest(trial: &mut Trial<'_>, packages: &Packages) -> Result<()> {
    let release = trial.release().to_owned();
    trial.run("uname -rm; rpm --version")?;
    let (_, has_rust) = trial.try_run("command -v rustc")?;
    ensure!(!has_rust, "there is a Rust in the guest");
    trial.run("rpm --initdb")?;
    trial.run(&format!("rpm -qp --requires {}", paths(&packages.made.guest)))?;

    build_there(trial, "papr-unplug-kmp", &release)?;
    build_there(trial, "papr-unplug-kmod", &release)?;

    trial.run(&format!("rpm -i {INSTALL} {}", paths(&packages.made.guest)))?;
    trial.run("rpm -qa | sort; rpm -ql papr-unplug-dkms papr-unplug-kmod-common")?;
    let status = trial.run("dkms status")?;
    ensure!(is_installed(&status, VERSION, &release), "DKMS has not installed the module: {status}");
    let build = trial.run(&format!("modinfo -F build {}", module(&release)))?;
    ensure!(build == "standalone\n", "the module is of another build: {build}");
    verify(trial, "papr-unplug-dkms papr-unplug-kmod-common")?;

    trial.run(&format!("rpm -U {INSTALL} {}", paths(&packages.higher)))?;
    let status = trial.run("dkms status")?;
    ensure!(is_installed(&status, HIGHER, &release), "the upgrade was not built: {status}");
    ensure!(!status.contains(&format!("papr-unplug/{VERSION},")), "the old version has stayed: {status}");
    verify(trial, "papr-unplug-dkms papr-unplug-kmod-common")?;

    // Another release of the same version does the same: the old package's script runs after the new one's.
    trial.run(&format!("rpm -U --replacepkgs {INSTALL} {}", paths(&packages.higher)))?;
    let status = trial.run("dkms status")?;
    ensure!(is_installed(&status, HIGHER, &release), "the module did not outlive a reinstallation: {status}");

    trial.run(&format!("rpm -i {INSTALL} {}", paths(&packages.made.agent)))?;
    trial.run("papr-unplug-agent --version")?;
    verify(trial, "papr-unplug-agent")?;

    trial.run("rpm -e papr-unplug-dkms papr-unplug-kmod-common papr-unplug-agent")?;
    no_module_is_left(trial)
}

pub(super) fn on_host(trial: &mut Trial<'_>, packages: &[PathBuf]) -> Result<()> {
    trial.run("rpm --initdb")?;
    trial.run(&format!("rpm -qp --requires {}", paths(packages)))?;
    trial.run(&format!("rpm -i {INSTALL} {}", paths(packages)))?;
    trial.run("rpm -qa | sort; rpm -ql papr-unplug libpapr-unplug0 libpapr-unplug-devel")?;
    verify(trial, "papr-unplug libpapr-unplug0 libpapr-unplug-devel")?;
    let explained = trial.run("papr-unplug explain last-cpu")?;
    ensure!(explained.contains("last-cpu"), "`papr-unplug explain` does not explain: {explained}");
    // Debian's loader has no /usr/lib64 in its cache.
    trial.run("echo /usr/lib64 > /etc/ld.so.conf.d/lib64.conf; ldconfig")?;
    let library = trial.run("ldconfig -p | grep papr")?;
    ensure!(library.contains("libpapr_unplug"), "the loader does not find the library: {library}");
    trial.run("PKG_CONFIG_PATH=/usr/lib64/pkgconfig pkg-config --modversion papr-unplug")?;
    trial.run("rpm -e libpapr-unplug-devel libpapr-unplug0 papr-unplug")?;
    let library = trial.run("ldconfig -p | grep -c papr || :")?;
    ensure!(library == "0\n", "the library's script has not renewed the loader's cache");
    nothing_is_left(trial)
}

/// Builds a package of the module for the kernel there, with stand-ins for the distribution's macros; installs and
/// removes it.
fn build_there(trial: &mut Trial<'_>, spec: &str, release: &str) -> Result<()> {
    let words: Vec<String> = with_stand_ins("rpmbuild", SPECS).iter().map(|word| format!("'{word}'")).collect();
    let top = "$HOME/rpmbuild";
    trial.run(&format!("{} --nodeps --quiet -bb {SPECS}/{spec}.spec", words.join(" ")))?;
    trial.run(&format!("rpm -qp --requires --provides -l {top}/RPMS/*/*.rpm"))?;
    trial.run(&format!("rpm -i {INSTALL} {top}/RPMS/*/*.rpm"))?;
    // There is no image whose list of modules depmod would read, about which it complains.
    trial.run(&format!("depmod {release} 2>/dev/null"))?;
    let build = trial.run(&format!("modinfo -k {release} -F build papr_unplug"))?;
    ensure!(build == "standalone\n", "the module is of another build: {build}");
    let package = trial.run("rpm -qa")?;
    verify(trial, package.trim())?;
    trial.run(&format!("rpm -e {}", package.trim()))?;
    trial.run(&format!("depmod {release} 2>/dev/null; rm -r {top}"))?;
    no_module_is_left(trial)
}

/// Compares the files of packages with what rpm recorded.
fn verify(trial: &mut Trial<'_>, packages: &str) -> Result<()> {
    let differ = trial.run(&format!("rpm -V --nodeps {packages}"))?;
    ensure!(differ.is_empty(), "rpm -V found differences: {differ}");
    Ok(())
}
