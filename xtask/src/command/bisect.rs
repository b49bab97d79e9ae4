// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask qemu --bisect`: builds QEMU after each of our patches, with the C library and without it.
//!
//! Each commit must build with and without the library, so that QEMU can be bisected later. Without the library, all
//! patches together must leave QEMU's answers as they were.

use crate::{
    artifacts::{
        c_library::CLibrary,
        qemu::{
            Qemu,
            build::{self, OURS, Series},
            bundle,
        },
        source::{Release, Source},
    },
    cache::{Artifact, Store},
    roots::{QEMU_ROOT, Root},
    run::{BUILD, Log, SOURCE, Sandbox},
};
use anyhow::{Context, Result, bail, ensure};
use papr_unplug_differential::{program::Program, tally::Tally, vmm::Vmm};
use std::{fs, path::Path};

/// The option by which QEMU is built without the library though it is installed.
const NOT_OURS: &str = "--disable-papr-unplug";
/// The number of sequences of calls that must be answered as by a QEMU without the patches.
const SEQUENCES: u64 = 1000;

/// A source that is patched step by step, and its builds.
struct Bisection<'a> {
    store: &'a Store,
    root: Artifact,
    library: Artifact,
    dir: tempfile::TempDir,
    log: Log,
}

/// Builds, and prints a line for each patch.
pub(crate) fn run(store: &Store, release: Release) -> Result<()> {
    let [root, source, library, stock] =
        store.ensure_all([&QEMU_ROOT, &Source::qemu(release), &CLibrary, &Qemu::Stock(release)])?;
    let dir = tempfile::tempdir_in(&store.settings.cache).context("no place to build in")?;
    let log = store.log("qemu-bisect")?;
    let mut bisection = Bisection { store, root, library, dir, log };
    bisection.unpack(&source)?;
    bisection.build_all()?;
    bisection.refuse_without_library()?;
    bisection.disable()?;
    bisection.compare(&stock)
}

impl Bisection<'_> {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn unpack(&mut self, source: &Artifact) -> Result<()> {
        let tree = self.path("tree");
        build::unpack(&mut self.log, &self.root, source, &tree)
    }

    /// Returns the sandbox of a build in the directory `name`.
    fn sandbox(&self, name: &str, library: bool) -> Result<Sandbox> {
        let build = self.path(name);
        fs::create_dir_all(&build)?;
        let sandbox = Root::sandbox(&self.root).bind(&self.path("tree"), SOURCE).bind(&build, BUILD);
        Ok(if library { CLibrary::mounted(&self.library, sandbox) } else { sandbox })
    }

    /// Builds in the directory `name`, which is configured first if it is new.
    fn build(&mut self, name: &str, library: bool, options: &[&str]) -> Result<()> {
        let is_new = !self.path(name).exists();
        let sandbox = self.sandbox(name, library)?;
        if is_new {
            build::configure(&mut self.log, &sandbox, options)?;
        }
        build::compile(&mut self.log, &sandbox)
    }

    fn build_all(&mut self) -> Result<()> {
        let tree = self.path("tree");
        for patch in Series::Library.patches(&self.store.settings)? {
            let name = patch.name();
            build::apply_patches(&self.store.settings, &mut self.log, &self.root, std::slice::from_ref(&patch), &tree)?;
            self.build("without", false, &[]).with_context(|| format!("{name} does not build without the library"))?;
            let knows = fs::read_to_string(tree.join("meson_options.txt"))?.contains("papr_unplug");
            if knows {
                self.build("with", true, &[OURS]).with_context(|| format!("{name} does not build with the library"))?;
            }
            println!("{name}: builds without the library{}", if knows { ", and with it" } else { "" });
        }
        ensure!(has_library(&self.path("with"))?, "the library was there, and QEMU was built without it");
        ensure!(!has_library(&self.path("without"))?, "the library was not there, and QEMU was built with it");
        Ok(())
    }

    /// Checks that `configure` fails if the library is asked for and missing, and names it.
    fn refuse_without_library(&mut self) -> Result<()> {
        let sandbox = self.sandbox("refused", false)?;
        let Err(error) = build::configure(&mut self.log, &sandbox, &[OURS]) else {
            bail!("{OURS} without the library is not refused")
        };
        let said = format!("{error:#}");
        let line = said.lines().find(|line| line.contains("ERROR:") && line.contains("papr-unplug"));
        let line = line.with_context(|| format!("{OURS} without the library is refused for another reason: {said}"))?;
        println!("{OURS} without the library: {}", line.trim_start_matches([' ', '|']));
        Ok(())
    }

    /// Checks that [`NOT_OURS`] leaves an installed library out.
    fn disable(&mut self) -> Result<()> {
        let sandbox = self.sandbox("disabled", true)?;
        build::configure(&mut self.log, &sandbox, &[NOT_OURS])?;
        ensure!(!has_library(&self.path("disabled"))?, "{NOT_OURS} does not leave the library out");
        println!("{NOT_OURS} with the library: it is left out");
        Ok(())
    }

    /// Checks that QEMU without the library answers calls as without the patches.
    fn compare(&mut self, stock: &Artifact) -> Result<()> {
        let run = self.path("run");
        fs::create_dir(&run)?;
        let build = self.path("without");
        build::strip(&mut self.log, &self.root, &build, &run)?;
        bundle::complete(&self.root, &run, &[])?;
        let program = |dir: &Path| Program::new(&dir.join(bundle::PROGRAM), &dir.join(bundle::DATA));
        self.store
            .progress
            .say(format!("==> {SEQUENCES} sequences on stock QEMU and on the patched one without the library"));
        let (mut stock, mut without) = (Vmm::start(&program(&stock.dir))?, Vmm::start(&program(&run))?);
        let tally = Tally::of(0..SEQUENCES, &mut stock, &mut without)?;
        ensure!(tally.alike == SEQUENCES, "without the library, QEMU is not what it was:\n{tally}");
        println!(
            "without the library: {SEQUENCES} of {SEQUENCES} sequences are answered as by a QEMU without the patches"
        );
        Ok(())
    }
}

/// Returns whether QEMU was configured with the library.
fn has_library(build: &Path) -> Result<bool> {
    let text = fs::read_to_string(build.join("config-host.h")).context("QEMU was not configured")?;
    Ok(text.lines().any(|line| line.starts_with("#define CONFIG_PAPR_UNPLUG")))
}
