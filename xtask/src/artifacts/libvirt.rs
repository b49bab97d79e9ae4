// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian stable's libvirt, built from source, in a root to run it in.

use crate::{
    artifacts::{
        patch::Patch,
        source::{self, Release, source},
    },
    cache::{Made, Recipe, Work},
    roots::{
        LIBVIRT_BUILD_ROOT,
        libvirt::{ENTER, LIBVIRT_ROOT, write_enter},
    },
    run::{BUILD, Log, SOURCE, Sandbox, WORK, machine},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command};

/// The options of `meson setup`: QEMU's driver, its daemon and its client, and what their tests need. Without libnl this
/// release does not build on Linux.
const OPTIONS: &str = "--prefix=/usr --sysconfdir=/etc --localstatedir=/var --auto-features=disabled \
                       -Ddriver_qemu=enabled -Ddriver_remote=enabled -Ddriver_libvirtd=enabled -Ddriver_test=enabled \
                       -Djson_c=enabled -Dlibnl=enabled -Dtests=enabled -Ddocs=disabled -Dnls=disabled -Dno_git=true";

/// The directory of the patches, below the checkout.
const PATCHES: &str = "packaging/libvirt";

/// A build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Libvirt {
    /// As Debian ships it.
    Stock,
    /// With this project's patches. libvirt's own tests have passed.
    Patched,
}

impl Libvirt {
    /// The fact with what libvirt's own tests printed in the end.
    const TESTS: &str = "tests";

    /// Reads this project's patches, in their order.
    fn series(self, settings: &Settings) -> Result<Vec<Patch>> {
        match self {
            Self::Stock => Ok(Vec::new()),
            Self::Patched => Patch::series(&settings.checkout.join(PATCHES)),
        }
    }

    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let (kind, title) = match self {
            Self::Stock => ("libvirt-stable", "libvirt, built from source"),
            Self::Patched => ("libvirt-stable-patched", "libvirt with our patches, built from source and tested"),
        };
        Recipe::new(kind, title, move |work| self.make(work))
            .parts([LIBVIRT_BUILD_ROOT.recipe(), source("libvirt", Release::Stable), LIBVIRT_ROOT.recipe()])
            .text("options", OPTIONS)
            .text("layout", "2")
            .read(move |inputs, settings| {
                let patches = self.series(settings)?;
                patches.iter().try_fold(inputs, |inputs, patch| inputs.file(patch.name(), &patch.path))
            })
            .needs(1800)
            .tree("tree")
            .file(ENTER)
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        let (log, root) = (&work.log, LIBVIRT_BUILD_ROOT.sandbox(work));
        let (source, from) = (work.path("source"), work.of(source::kind("libvirt", Release::Stable)));
        source::unpack(log, &root, from, &source)?;
        Patch::apply_all(log, &root, &self.series(work.settings)?, &source)?;
        // libvirt's tests make directories below /run.
        let (build, installed, run) = (work.mkdir("build")?, work.mkdir("installed")?, work.mkdir("run")?);
        let sandbox = root.bind(&source, SOURCE).bind(&build, BUILD).bind(&installed, WORK).bind(&run, "/run");
        compile(log, &sandbox)?;
        let mut made = Made::default().fact(source::VERSION, from.fact(source::VERSION));
        if self == Self::Patched {
            let words = ["meson", "test", "-C", BUILD, "--print-errorlogs"];
            log.run("running libvirt's own tests", &mut sandbox.command(words))?;
            made = made.fact(Self::TESTS, "passed");
        }
        let words = ["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", WORK];
        log.run("installing libvirt", &mut sandbox.command(words))?;
        run_in(work, &installed)?;
        Ok(made)
    }
}

fn compile(log: &Log, sandbox: &Sandbox) -> Result<()> {
    let libdir = format!("--libdir=lib/{}", machine::arch()?.triplet);
    let mut setup = sandbox.command(["meson", "setup", BUILD, SOURCE, &libdir]);
    log.run("configuring libvirt", setup.args(OPTIONS.split(' ')))?;
    let jobs = machine::jobs().to_string();
    log.run("building libvirt", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs]))
}

/// Makes a root in which the libvirt that is installed below `installed` takes the place of Debian's newest.
fn run_in(work: &Work<'_>, installed: &Path) -> Result<()> {
    let tree = work.mkdir("tree")?;
    let copy = |title: &str, from: &Path| {
        let mut command = Command::new("cp");
        work.log.run(title, command.args(["-a", "--reflink=auto"]).arg(from.join(".")).arg(&tree))
    };
    copy("copying the root for libvirt", &work.of(LIBVIRT_ROOT.kind).tree())?;
    // Nothing of the other version may stay: drivers do not load, and ldconfig prefers the newest library.
    let libraries = tree.join("usr/lib").join(machine::arch()?.triplet);
    let drivers = libraries.join("libvirt");
    fs::remove_dir_all(&drivers).with_context(|| format!("cannot remove {}", drivers.display()))?;
    for entry in fs::read_dir(&libraries).with_context(|| format!("cannot read {}", libraries.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("libvirt") {
            fs::remove_file(entry.path())?;
        }
    }
    copy("adding libvirt to it", installed)?;
    work.log.run("ldconfig", &mut Sandbox::writable(&tree).command(["ldconfig"]))?;
    write_enter(work.dir)
}
