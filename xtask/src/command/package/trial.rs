// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trial of the packages: dpkg or rpm installs, upgrades and removes them in a Debian for ppc64el, whose programs are
//! emulated, and in one of this machine's architecture. `packaging/trial` has a script for each.

use crate::{
    cache::{Artifact, Store},
    command::package::{Format, HIGHER, VERSION},
    roots::installed::InstalledRoot,
    run::{Log, Sandbox},
};
use anyhow::Result;
use std::{fs, path::Path, process::Command};

/// Registers the emulator with the kernel in the sandbox's own namespace (Linux 6.7 or newer), then runs a command of the
/// guest. Programs before the registration are run by the emulator explicitly.
const EMULATED: &str = r#"
/emulator/qemu-ppc64le /usr/bin/mount -t binfmt_misc formats /home
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x15\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x00'
printf '%s' ":ppc64le:M::$magic:$mask:/emulator/qemu-ppc64le:F" > /home/register
exec "$@"
"#;

/// Tries the packages in `packages`. Prints the transcripts, and writes them into the directory `into`.
pub(super) fn run(store: &Store, format: Format, packages: &Path, into: &Path) -> Result<()> {
    let [guest, host] = store.ensure_all([&InstalledRoot::Guest.recipe(), &InstalledRoot::Host.recipe()])?;
    fs::create_dir(packages.join("later"))?;
    for entry in fs::read_dir(guest.path(InstalledRoot::MORE))? {
        let entry = entry?;
        fs::copy(entry.path(), packages.join("later").join(entry.file_name()))?;
    }
    let format = if format == Format::Deb { "deb" } else { "rpm" };
    for (root, name) in [(&host, format!("{format}-host")), (&guest, format!("{format}-guest"))] {
        let file = into.join(format!("trial-{name}.txt"));
        let log = Log::create(file.clone(), &store.progress)?;
        let scratch = store.settings.checkout.join("target/trial/root");
        try_in(store, &log, root, &name, packages, &scratch)?;
        print!("{}", fs::read_to_string(&file)?);
        println!("\nall packages could be installed, upgraded and removed: {}", file.display());
    }
    Ok(())
}

/// Runs a script in a copy of a root.
fn try_in(store: &Store, log: &Log, installed: &Artifact, script: &str, packages: &Path, scratch: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(scratch);
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(installed.tree()).arg(scratch);
    log.run("copying the root", &mut copy)?;
    let scripts = store.settings.checkout.join("packaging/trial");
    let sandbox = Sandbox::writable(scratch).with_all_capabilities();
    let mut sandbox = sandbox.bind_read_only(packages, "/packages").bind_read_only(&scripts, "/trial");
    let release = fs::read_dir(scratch.join("usr/lib/modules")).ok().and_then(|mut entries| entries.next()?.ok());
    let release = release.map(|entry| entry.file_name().to_string_lossy().into_owned()).unwrap_or_default();
    // The emulator says the release of the kernel whose headers are there.
    let variables = format!("VERSION={VERSION} HIGHER={HIGHER} RELEASE={release} QEMU_UNAME={release}");
    let command = ["env"].into_iter().chain(variables.split(' ')).chain(["/bin/sh"]);
    let script = format!("/trial/{script}");
    let command: Vec<&str> = command.chain([script.as_str()]).collect();
    let emulator = installed.path(InstalledRoot::EMULATOR);
    let title = format!("trying packages: {script}");
    if !emulator.exists() {
        return log.run(&title, &mut sandbox.command(command));
    }
    sandbox = sandbox.bind_read_only(&emulator, "/emulator");
    let program = format!("/emulator/{}", InstalledRoot::PROGRAM);
    let words = [program.as_str(), "/bin/sh", "-ec", EMULATED, "sh"].into_iter().chain(command);
    log.run(&title, &mut sandbox.command(words))
}
