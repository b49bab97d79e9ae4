// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trial of the packages: dpkg or rpm installs, upgrades and removes them in a Debian for ppc64el, whose programs are
//! emulated, and in one of this machine's architecture.

mod dpkg;
mod rpm;

use crate::{
    cache::{Artifact, Store},
    command::package::{Format, Made},
    roots::installed::InstalledRoot,
    run::{log::Log, sandbox::Sandbox},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Mount point of the packages.
const PACKAGES: &str = "/packages";
/// Mount point of the emulator.
const EMULATOR: &str = "/emulator";

/// The environment of commands.
const VARIABLES: &str = "HOME=/root DEBIAN_FRONTEND=noninteractive";

/// Registers the emulator with the kernel in the sandbox's own namespace (Linux 6.7 or newer), then runs a script in
/// the guest's shell. Programs before the registration are run by the emulator explicitly.
const EMULATED: &str = r#"
/emulator/qemu-ppc64le /usr/bin/mount -t binfmt_misc formats /home
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x15\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x00'
printf '%s' ":ppc64le:M::$magic:$mask:/emulator/qemu-ppc64le:F" > /home/register
exec /bin/sh -c "$1"
"#;

/// A Debian that packages are tried in, with a transcript of commands and their output.
pub(crate) struct Trial<'a> {
    store: &'a Store,
    sandbox: Sandbox,
    is_emulated: bool,
    transcript: String,
    /// The output of `uname -r` there.
    release: String,
}

impl<'a> Trial<'a> {
    /// Copies a root into `scratch`.
    pub(crate) fn begin(
        store: &'a Store,
        log: &Log,
        installed: &Artifact,
        scratch: &Path,
        packages: &Path,
    ) -> Result<Self> {
        let tree = scratch.join("tree");
        if scratch.exists() {
            fs::remove_dir_all(scratch)?;
        }
        fs::create_dir_all(scratch)?;
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"]).arg(installed.tree()).arg(&tree);
        log.run("copying the root", &mut copy)?;
        let mut sandbox = Sandbox::writable(&tree).bind_read_only(packages, PACKAGES).with_all_capabilities();
        let emulator = installed.path(InstalledRoot::EMULATOR);
        let is_emulated = emulator.exists();
        if is_emulated {
            sandbox = sandbox.bind_read_only(&emulator, EMULATOR);
        }
        let release = fs::read_dir(tree.join("usr/lib/modules")).ok().into_iter().flatten().next();
        let release = release.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let release = release.transpose()?.unwrap_or_default();
        Ok(Self { store, sandbox, is_emulated, transcript: String::new(), release })
    }

    /// Returns the release of the kernel whose headers are installed.
    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    /// Returns the transcript so far.
    pub(crate) fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Runs a command, which must succeed, and returns its output.
    pub(crate) fn run(&mut self, command: &str) -> Result<String> {
        let (said, succeeded) = self.try_run(command)?;
        ensure!(succeeded, "`{command}` failed:\n{said}");
        Ok(said)
    }

    /// Runs a command, and returns its output and whether it succeeded.
    pub(crate) fn try_run(&mut self, command: &str) -> Result<(String, bool)> {
        let _task = self.store.progress.task(command);
        let script = format!("exec 2>&1; export QEMU_UNAME={} {VARIABLES}; {command}", self.release);
        let emulator = format!("{EMULATOR}/{}", InstalledRoot::PROGRAM);
        let mut enter = if self.is_emulated {
            self.sandbox.command([&*emulator, "/bin/sh", "-ec", EMULATED, "sh", &script])
        } else {
            self.sandbox.command(["/bin/sh", "-c", &script])
        };
        let output = enter.stdin(Stdio::null()).output().context("cannot run bwrap")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        self.transcript += &format!("# {command}\n{said}");
        Ok((said, output.status.success()))
    }
}

/// The packages.
pub(super) struct Packages {
    /// The directory with all of them.
    pub(super) dir: PathBuf,
    pub(super) made: Made,
    /// Those of the module, of a higher version.
    pub(super) higher: Vec<PathBuf>,
}

/// Tries all packages, and returns the transcript.
pub(super) fn run(store: &Store, log: &Log, format: Format, packages: &Packages) -> Result<String> {
    let [guest, host] = store.ensure_all([&InstalledRoot::Guest.recipe(), &InstalledRoot::Host.recipe()])?;
    let mut headers = Vec::new();
    for entry in fs::read_dir(guest.path(InstalledRoot::MORE))? {
        let entry = entry?;
        fs::copy(entry.path(), packages.dir.join(entry.file_name()))?;
        headers.push(entry.path());
    }
    headers.sort();
    let scratch = store.settings.checkout.join("target/trial");
    let mut trial = Trial::begin(store, log, &guest, &scratch.join("guest"), &packages.dir)?;
    let tried = match format {
        Format::Deb => dpkg::in_guest(&mut trial, packages, &headers),
        Format::Rpm => rpm::in_guest(&mut trial, packages),
    };
    let transcript = trial.transcript().to_owned();
    tried.with_context(|| format!("in a guest:\n{transcript}"))?;

    let mut trial = Trial::begin(store, log, &host, &scratch.join("host"), &packages.dir)?;
    let tried = match format {
        Format::Deb => dpkg::on_host(&mut trial, &packages.made.host),
        Format::Rpm => rpm::on_host(&mut trial, &packages.made.host),
    };
    let all = transcript + trial.transcript();
    tried.with_context(|| format!("on a host:\n{}", trial.transcript()))?;
    fs::remove_dir_all(scratch)?;
    Ok(all)
}

/// The command that lists files of ours, apart from dpkg's and DKMS's logs.
const OURS: &str =
    "find / -xdev \\( -name '*papr*unplug*' -o -path '*/dkms/papr*' \\) -not -path '/packages*' -not -path '/proc/*'";

/// Checks what is left after the packages were removed.
fn nothing_is_left(trial: &mut Trial<'_>) -> Result<()> {
    let left = trial.run(OURS)?;
    ensure!(left.is_empty(), "these files are left: {left}");
    Ok(())
}

/// Checks that nothing of the module is left.
fn no_module_is_left(trial: &mut Trial<'_>) -> Result<()> {
    let left = trial.run("dkms status")?;
    ensure!(left.is_empty(), "DKMS still knows of it: {left}");
    nothing_is_left(trial)?;
    let (_, is_named) = trial.try_run("grep -l papr_unplug /lib/modules/*/modules.dep")?;
    ensure!(!is_named, "depmod still names the module");
    Ok(())
}

/// Returns the pattern of the module's file for a kernel.
fn module(release: &str) -> String {
    format!("/lib/modules/{release}/updates/dkms/papr_unplug.ko*")
}

/// Returns whether `dkms status` has the module installed.
fn is_installed(status: &str, version: &str, release: &str) -> bool {
    let begin = format!("papr-unplug/{version}, {release}, ");
    status.lines().any(|line| line.starts_with(&begin) && line.ends_with(": installed"))
}

/// Returns the paths of packages in a root.
fn paths(packages: &[PathBuf]) -> String {
    let names = packages.iter().filter_map(|file| file.file_name());
    names.map(|name| format!("{PACKAGES}/{}", name.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_dkms_is_read_by_version_and_kernel() {
        let status = "papr-unplug/0.1.0, 6.12.48-powerpc64le, ppc64le: installed\n\
                      papr-unplug/0.1.0, 6.12.57-powerpc64le, ppc64le: built\n";
        assert!(is_installed(status, "0.1.0", "6.12.48-powerpc64le"));
        assert!(!is_installed(status, "0.1.0", "6.12.57-powerpc64le"));
        assert!(!is_installed(status, "0.1", "6.12.48-powerpc64le"));
    }
}
