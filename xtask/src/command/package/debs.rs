// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian packages of the module, the programs and the library.

use crate::{
    artifacts::c_library::install,
    command::package::{Made, VERSION, contents::PROGRAM, deb::Deb, stages::Stages},
    run::machine,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The packages that programs in Rust depend on: the C library of the machine that linked them, or a newer one.
const RUNTIME: &str = "libc6 (>= 2.34), libgcc-s1";

/// Makes all packages.
pub(super) fn all(stages: &mut Stages<'_>) -> Result<Made> {
    let (guest, agent) = (vec![dkms(stages, VERSION)?], vec![agent(stages)?]);
    let mut host = vec![program(stages)?];
    host.extend(library(stages)?);
    Ok(Made { guest, agent, host })
}

/// Makes the module's package.
pub(super) fn dkms(stages: &mut Stages<'_>, version: &str) -> Result<PathBuf> {
    let stage = stages.dkms(version)?;
    let own = |name: &str| -> Result<String> { Ok(script(stages, "dkms", name)?.replace("@version@", version)) };
    let deb = Deb {
        name: "papr-unplug-dkms",
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
    deb.make(&stages.log, &stage, &stages.into)
}

fn agent(stages: &mut Stages<'_>) -> Result<PathBuf> {
    let stage = stages.agent()?;
    let own = |name: &str| script(stages, "agent", name);
    let deb = Deb {
        name: "papr-unplug-agent",
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
    deb.make(&stages.log, &stage, &stages.into)
}

fn program(stages: &mut Stages<'_>) -> Result<PathBuf> {
    let stage = stages.program()?;
    let deb = Deb {
        name: PROGRAM,
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
    deb.make(&stages.log, &stage, &stages.into)
}

fn library(stages: &mut Stages<'_>) -> Result<[PathBuf; 2]> {
    let arch = machine::arch()?;
    let libdir = Path::new("lib").join(arch.triplet);
    let development = stages.empty("libpapr-unplug-dev")?;
    stages.library(&libdir, &development)?;

    // The shared library has a package of its own, so that incompatible versions can be installed together.
    let running = stages.empty("libpapr-unplug0")?;
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
    let (log, into) = (&stages.log, &stages.into);
    let running =
        deb("libpapr-unplug0", "libs", RUNTIME.to_owned(), ("DR connectors for VMMs, C library", about), cache)
            .make(log, &running, into)?;
    let depends = format!("libpapr-unplug0 (= {VERSION})");
    let about = ("DR connectors for VMMs, C header and static library", about);
    let development =
        deb("libpapr-unplug-dev", "libdevel", depends, about, Vec::new()).make(log, &development, into)?;
    Ok([running, development])
}

/// Returns a maintainer script.
fn script(stages: &Stages<'_>, package: &str, name: &str) -> Result<String> {
    let file = stages.checkout().join("packaging").join(package).join(name);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}
