// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian stable's libvirt, built from source, in a root to run it in.

use crate::{
    artifacts::{patch::Patch, source::Source},
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{
        LIBVIRT_BUILD_ROOT, Root,
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

/// The tree in which libvirt runs, in the artifact.
const TREE: &str = "tree";

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
    pub(crate) const TESTS: &str = "tests";

    /// Reads this project's patches, in their order.
    fn series(self, settings: &Settings) -> Result<Vec<Patch>> {
        match self {
            Self::Stock => Ok(Vec::new()),
            Self::Patched => Patch::series(&settings.checkout.join(PATCHES)),
        }
    }
}

impl Recipe for Libvirt {
    fn kind(&self) -> &'static str {
        match self {
            Self::Stock => "libvirt-stable",
            Self::Patched => "libvirt-stable-patched",
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Stock => "libvirt, built from source".to_owned(),
            Self::Patched => "libvirt with our patches, built from source and tested".to_owned(),
        }
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(LIBVIRT_BUILD_ROOT), Box::new(Source::LIBVIRT), Box::new(LIBVIRT_ROOT)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("options", OPTIONS).text("layout", "2");
        self.series(settings)?.iter().try_fold(inputs, |inputs, patch| inputs.file(patch.name(), &patch.path))
    }

    fn needs(&self) -> u64 {
        1800
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let mut log = store.log(self.kind())?;
        let root = parts.of(&LIBVIRT_BUILD_ROOT);
        let [source, build, installed, run] = ["source", "build", "installed", "run"].map(|name| dir.join(name));
        [&build, &installed, &run].into_iter().try_for_each(fs::create_dir)?;
        Source::unpack(&mut log, root, parts.of(&Source::LIBVIRT), &source)?;
        let series = self.series(&store.settings)?;
        Patch::apply_all(&mut log, root, &store.settings.checkout.join(PATCHES), &series, &source)?;
        // libvirt's tests make directories below /run.
        let sandbox =
            Root::sandbox(root).bind(&source, SOURCE).bind(&build, BUILD).bind(&installed, WORK).bind(&run, "/run");
        compile(&mut log, &sandbox)?;
        let mut made = Made { trees: vec![TREE.into()], files: vec![ENTER.into()], ..Made::default() };
        made.fact(Source::VERSION, parts.of(&Source::LIBVIRT).fact(Source::VERSION));
        if *self == Self::Patched {
            let words = ["meson", "test", "-C", BUILD, "--print-errorlogs"];
            log.run("running libvirt's own tests", &mut sandbox.command(words))?;
            made.fact(Self::TESTS, "passed");
        }
        let words = ["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", WORK];
        log.run("installing libvirt", &mut sandbox.command(words))?;
        run_in(&mut log, parts.of(&LIBVIRT_ROOT), &installed, dir)?;
        [&source, &build, &installed, &run].into_iter().try_for_each(fs::remove_dir_all)?;
        Ok(made)
    }
}

fn compile(log: &mut Log, sandbox: &Sandbox) -> Result<()> {
    let libdir = format!("--libdir=lib/{}", machine::arch()?.triplet);
    let mut setup = sandbox.command(["meson", "setup", BUILD, SOURCE, &libdir]);
    log.run("configuring libvirt", setup.args(OPTIONS.split(' ')))?;
    let jobs = machine::jobs().to_string();
    log.run("building libvirt", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs]))
}

/// Makes a root in `dir` in which the libvirt that is installed below `installed` takes the place of Debian's newest.
fn run_in(log: &mut Log, root: &Artifact, installed: &Path, dir: &Path) -> Result<()> {
    let tree = dir.join(TREE);
    let copy = |from: &Path| {
        let mut command = Command::new("cp");
        command.args(["-a", "--reflink=auto"]).arg(from.join(".")).arg(&tree);
        command
    };
    fs::create_dir(&tree)?;
    log.run("copying the root for libvirt", &mut copy(&Root::tree(root)))?;
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
    log.run("adding libvirt to it", &mut copy(installed))?;
    log.run("ldconfig", &mut Sandbox::writable(&tree).command(["ldconfig"]))?;
    write_enter(dir)
}
