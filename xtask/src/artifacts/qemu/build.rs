// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU for pseries machines, built from source.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::artifacts::qemu::bundle;
use crate::artifacts::qemu::root::QemuRoot;
use crate::artifacts::qemu::source::{Line, QemuSource};
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Held, Recipe, Store};
use crate::host;
use crate::host::sandbox::{BUILD, SOURCE, Sandbox, WORK};
use crate::settings::Settings;
use crate::work::step::Log;

/// How QEMU is configured: what a headless pseries guest and qtest take, and nothing that needs further libraries.
const OPTIONS: &[&str] = &[
    "--cc=gcc",
    "--target-list=ppc64-softmmu",
    "--without-default-features",
    "--enable-tcg",
    "--enable-fdt=system",
    "--disable-docs",
    "--disable-download",
    "--disable-install-blobs",
];

/// A QEMU built here.
#[derive(Debug)]
pub(crate) struct QemuBuild {
    source: QemuSource,
}

impl QemuBuild {
    /// As it was released.
    pub(crate) fn stock(line: Line) -> Self {
        Self { source: QemuSource(line) }
    }
}

impl Recipe for QemuBuild {
    fn kind(&self) -> &'static str {
        match self.source.0 {
            Line::Stable => "qemu-stable",
            Line::Newest => "qemu-newest",
        }
    }

    fn title(&self) -> String {
        format!("QEMU, built from source ({})", self.source.0.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&QemuRoot, &self.source]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("options", OPTIONS.join(" ")).text("wrapper", bundle::WRAPPER).text("layout", "1"))
    }

    fn needs(&self) -> u64 {
        1800
    }

    fn make(&self, store: &Store, parts: &[Held], dir: &Path) -> Result<Made> {
        let [root, source] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, self.kind())?;
        let (tree, build) = (dir.join("tree"), dir.join("build"));
        fs::create_dir(&build)?;
        unpack(store, &mut log, root, source, &tree)?;
        let sandbox = Root::sandbox(root).fill(&tree, SOURCE).fill(&build, BUILD);
        compile(store, &mut log, &sandbox)?;

        fs::create_dir(dir.join("lib"))?;
        let keep = Root::sandbox(root).see(&build, BUILD).fill(dir, WORK);
        let strip = [
            "strip",
            "--strip-debug",
            "-o",
            &format!("{WORK}/{}", bundle::BINARY),
            &format!("{BUILD}/{}", bundle::PROGRAM),
        ];
        log.run(store, "stripping QEMU", &mut keep.command(strip))?;
        fs::remove_dir_all(&tree)?;
        fs::remove_dir_all(&build)?;
        bundle::complete(root, dir)
    }
}

fn unpack(store: &Store, log: &mut Log, root: &Held, source: &Held, tree: &Path) -> Result<()> {
    fs::create_dir(tree)?;
    let sandbox = Root::sandbox(root).see(&source.dir, WORK).fill(tree, SOURCE);
    let tar = |archive: &str, more: &[&str]| {
        let mut command = sandbox.command(["tar", "-C", SOURCE, "-x", "--no-same-owner", "-f"]);
        command.arg(format!("{WORK}/{archive}")).args(more);
        command
    };
    log.run(store, "unpacking the source", &mut tar(QemuSource::RELEASE, &["--strip-components=1"]))?;
    log.run(store, "unpacking Debian's part", &mut tar(QemuSource::DEBIAN, &["debian/patches"]))?;
    let series = tree.join("debian/patches/series");
    let series = fs::read_to_string(&series).with_context(|| format!("cannot read {}", series.display()))?;
    for patch in series.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        apply(store, log, &sandbox, patch, &format!("{SOURCE}/debian/patches/{patch}"))?;
    }
    // Debian's archive has no blobs, and without dtc the build wants to see these; no pseries machine reads them.
    for dir in [tree.join("pc-bios"), tree.join("pc-bios/dtb")].iter().filter(|dir| dir.is_dir()) {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension() == Some("dts".as_ref()) {
                fs::write(path.with_extension("dtb"), [])?;
            }
        }
    }
    Ok(())
}

fn apply(store: &Store, log: &mut Log, sandbox: &Sandbox, name: &str, path: &str) -> Result<()> {
    let words = ["patch", "-d", SOURCE, "-p1", "--forward", "--no-backup-if-mismatch", "-i", path];
    log.run(store, &format!("applying {name}"), &mut sandbox.command(words))
}

fn compile(store: &Store, log: &mut Log, sandbox: &Sandbox) -> Result<()> {
    let script = format!("cd {BUILD} && exec {SOURCE}/configure \"$@\"");
    let mut configure = sandbox.command(["sh", "-c", &script, "configure"]);
    log.run(store, "configuring QEMU", configure.args(OPTIONS))?;
    let jobs = host::jobs().to_string();
    log.run(store, "building QEMU", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs, bundle::PROGRAM]))
}
