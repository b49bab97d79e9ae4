// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask package`: makes Debian packages of the module, the programs and the library, and tries them.

mod deb;
mod trial;

use crate::{
    artifacts::{
        agent::Agent,
        c_library::install::{self, Install},
        object::{self, Object},
    },
    cache::store::Store,
    command::package::{
        deb::{Deb, put},
        trial::Packages,
    },
    run::{log::Log, machine},
};
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The files below the checkout from which a kernel without Rust builds the module.
const SOURCES: [&str; 7] = [
    "Kbuild",
    "Makefile",
    "guest-module/older.h",
    "guest-module/return_probe.c",
    "guest-module/shim.c",
    "guest-module/shim.h",
    "guest-module/entry/standalone.c",
];

/// The packages that programs in Rust depend on: the C library of the machine that linked them, or a newer one.
const RUNTIME: &str = "libc6 (>= 2.34), libgcc-s1";

/// A version that is higher than all of ours.
const HIGHER: &str = "99";

/// Makes all packages, and prints their paths.
pub(crate) fn run(store: &Store) -> Result<()> {
    let mut log = store.log("package")?;
    let mut made = all(store, &mut log)?;
    made.push(agent(store, &mut log, &store.settings.checkout.join("target/packages"))?);
    for file in made {
        println!("{}", file.display());
    }
    Ok(())
}

/// Makes packages, tries them, prints the transcript, and writes it to `target/packages/trial.txt`.
pub(crate) fn try_them(store: &Store) -> Result<()> {
    let mut log = store.log("package")?;
    let dir = store.settings.checkout.join("target/trial/packages");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    let made = all(store, &mut log)?;
    let mut hosts = Vec::new();
    for file in &made {
        hosts.push(copy_into(file, &dir)?);
    }
    let (dkms, hosts) = hosts.split_first().context("no packages")?;
    let higher = self::dkms(store, &mut log, &dir, HIGHER)?;
    let packages = Packages { dkms: [dkms.clone(), name(&higher)], hosts: hosts.to_vec(), dir };
    let transcript = trial::run(store, &mut log, &packages)?;
    let file = store.settings.checkout.join("target/packages/trial.txt");
    fs::write(&file, &transcript).with_context(|| format!("cannot write {}", file.display()))?;
    print!("{transcript}");
    println!("\nall packages could be installed, upgraded and removed: {}", file.display());
    Ok(())
}

/// Makes the packages that are tried, and returns their files, that for guests first.
fn all(store: &Store, log: &mut Log) -> Result<Vec<PathBuf>> {
    let into = store.settings.checkout.join("target/packages");
    fs::create_dir_all(&into)?;
    let mut made = vec![dkms(store, log, &into, VERSION)?, program(store, log, &into)?];
    made.extend(library(store, log, &into)?);
    Ok(made)
}

/// Copies a package into a directory, and returns its name.
fn copy_into(file: &Path, to: &Path) -> Result<String> {
    let name = name(file);
    fs::copy(file, to.join(&name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(name)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes an empty directory for the files of a package.
fn stage(into: &Path, name: &str) -> Result<PathBuf> {
    let stage = into.join("stage").join(name);
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    fs::create_dir_all(&stage).with_context(|| format!("cannot make {}", stage.display()))?;
    Ok(stage)
}

fn dkms(store: &Store, log: &mut Log, into: &Path, version: &str) -> Result<PathBuf> {
    const NAME: &str = "papr-unplug-dkms";
    let checkout = &store.settings.checkout;
    let object = store.ensure(&Object)?;
    let stage = stage(into, NAME)?;
    let own = |name: &str| -> Result<String> {
        let file = checkout.join("packaging/dkms").join(name);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.replace("@version@", version))
    };
    let sources = stage.join(format!("usr/src/papr-unplug-{version}"));
    for source in SOURCES {
        put(&sources.join(source), fs::read(checkout.join(source))?, 0o644)?;
    }
    put(&sources.join("guest-module").join(object::FILE), fs::read(object.path(object::FILE))?, 0o644)?;
    put(&sources.join("dkms.conf"), own("dkms.conf")?, 0o644)?;
    put(&stage.join("usr/lib/modules-load.d/papr-unplug.conf"), own("modules-load.conf")?, 0o644)?;
    let deb = Deb {
        name: NAME,
        version: version.to_owned(),
        architecture: "ppc64el",
        section: "kernel",
        depends: "dkms, make, kmod".to_owned(),
        description: (
            "tells the hypervisor which removals this guest refuses",
            "A kernel module for pseries guests: when the guest refuses to give a CPU or memory back, it tells the\n \
             hypervisor at once. Building it takes no Rust.",
        ),
        scripts: vec![("postinst", own("postinst")?), ("prerm", own("prerm")?)],
    };
    deb.make(log, &stage, into)
}

fn agent(store: &Store, log: &mut Log, into: &Path) -> Result<PathBuf> {
    const NAME: &str = Agent::PROGRAM;
    let checkout = &store.settings.checkout;
    let own = |name: &str| -> Result<String> {
        let file = checkout.join("packaging/agent").join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let program = store.ensure(&Agent)?;
    let stage = stage(into, NAME)?;
    let units = stage.join("usr/lib/systemd/system");
    put(&stage.join("usr/sbin").join(NAME), fs::read(program.path(NAME))?, 0o755)?;
    put(&units.join("papr-unplug-agent.service"), own("papr-unplug-agent.service")?, 0o644)?;
    put(&units.join("rtas_errd.service.d/papr-unplug.conf"), own("rtas_errd.conf")?, 0o644)?;
    let page = "papr-unplug-agent.8";
    put(&stage.join("usr/share/man/man8").join(page), fs::read(checkout.join("agent/man").join(page))?, 0o644)?;
    let deb = Deb {
        name: NAME,
        version: VERSION.to_owned(),
        architecture: "ppc64el",
        section: "admin",
        depends: "init-system-helpers".to_owned(),
        description: (
            "gives PCI devices back to the hypervisor, or says why not",
            "A service for pseries guests, which needs no drmgr to remove a PCI device, and which refuses to give up a\n \
             device in use.",
        ),
        scripts: vec![("postinst", own("postinst")?), ("prerm", own("prerm")?), ("postrm", own("postrm")?)],
    };
    deb.make(log, &stage, into)
}

fn program(store: &Store, log: &mut Log, into: &Path) -> Result<PathBuf> {
    const NAME: &str = "papr-unplug";
    let checkout = &store.settings.checkout;
    let target = checkout.join("target/install");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--package", "papr-unplug-cli", "--profile", "dist", "--target-dir"]);
    log.run("building the program", cargo.arg(&target).current_dir(checkout))?;
    let stage = stage(into, NAME)?;
    put(&stage.join("usr/bin").join(NAME), fs::read(target.join("dist").join(NAME))?, 0o755)?;
    for page in fs::read_dir(checkout.join("cli/man"))? {
        let page = page?;
        put(&stage.join("usr/share/man/man1").join(page.file_name()), fs::read(page.path())?, 0o644)?;
    }
    let deb = Deb {
        name: NAME,
        version: VERSION.to_owned(),
        architecture: machine::arch()?.debian,
        section: "admin",
        depends: RUNTIME.to_owned(),
        description: (
            "asks a guest for a device, and says what became of it",
            "A program for hosts that asks a virtual machine's guest for a CPU or memory over QMP, waits for the outcome\n \
             without a timeout, and explains refusals.",
        ),
        scripts: Vec::new(),
    };
    deb.make(log, &stage, into)
}

fn library(store: &Store, log: &mut Log, into: &Path) -> Result<[PathBuf; 2]> {
    let arch = machine::arch()?;
    let libdir = Path::new("lib").join(arch.triplet);
    let development = stage(into, "libpapr-unplug-dev")?;
    let destdir = Some(development.clone());
    install::run(
        &store.settings.checkout,
        log,
        &Install { prefix: "/usr".into(), libdir: libdir.clone(), destdir, is_static: false },
    )?;

    // The shared library has a package of its own, so that incompatible versions can be installed together.
    let running = stage(into, "libpapr-unplug0")?;
    let to = running.join("usr").join(&libdir);
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(development.join("usr").join(&libdir))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{}.", install::LINK_NAME)) {
            fs::rename(entry.path(), to.join(entry.file_name()))?;
        }
    }
    let deb = |name, section, depends, description, scripts| Deb {
        name,
        version: VERSION.to_owned(),
        architecture: arch.debian,
        section,
        depends,
        description,
        scripts,
    };
    // The trigger makes libc-bin renew the loader's cache.
    let cache = vec![("triggers", "activate-noawait ldconfig\n".to_owned())];
    let about = "The DR connectors of a PAPR machine for a VMM to build in: it takes RTAS calls and device_del, and gives\n \
                 statuses and one outcome for each request.";
    let running =
        deb("libpapr-unplug0", "libs", RUNTIME.to_owned(), ("DR connectors for VMMs, C library", about), cache)
            .make(log, &running, into)?;
    let depends = format!("libpapr-unplug0 (= {VERSION})");
    let about = ("DR connectors for VMMs, C header and static library", about);
    let development =
        deb("libpapr-unplug-dev", "libdevel", depends, about, Vec::new()).make(log, &development, into)?;
    Ok([running, development])
}
