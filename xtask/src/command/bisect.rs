// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask qemu --bisect`: builds QEMU after each of our patches, with the C library and without it.
//!
//! Each commit must build with and without the library, so that QEMU can be bisected later. Without the library, all
//! patches together must leave QEMU's answers as they were.

use crate::{
    artifacts::{
        c_library::{c_library, mounted},
        host::Host,
        qemu::{
            Qemu,
            build::{self, OURS, Series},
            bundle,
        },
        source::{Release, source},
    },
    cache::Store,
    roots::QEMU_ROOT,
    run::{BUILD, SOURCE, Sandbox, WORK},
};
use anyhow::{Context, Result, bail, ensure};
use papr_unplug_differential::{program::Program, tally::Tally, vmm::Vmm};
use std::{fs, path::Path};

/// The option by which QEMU is built without the library though it is installed.
const NOT_OURS: &str = "--disable-papr-unplug";
/// The number of sequences of calls that must be answered as by a QEMU without the patches.
const SEQUENCES: u64 = 1000;

/// Builds, and prints a line for each patch.
pub(crate) fn run(store: &Store, release: Release) -> Result<()> {
    let recipes =
        [&QEMU_ROOT.recipe(), &source("qemu", release), &c_library(Host::Own), &Qemu::Stock(release).recipe()];
    let [root, source, library, stock] = store.ensure_all(recipes)?;
    let (root, library) = (root.tree(), mounted(&library));
    let dir = tempfile::tempdir_in(&store.settings.cache).context("no place to build in")?;
    let log = store.log("qemu-bisect")?;
    let path = |name: &str| dir.path().join(name);
    let tree = path("tree");
    build::unpack(&log, &root, &source, &tree)?;

    // Returns the sandbox of a build in the directory `name`.
    let sandbox = |name: &str, library: Option<&Path>| -> Result<Sandbox> {
        fs::create_dir_all(path(name))?;
        let sandbox = Sandbox::new(&root).bind(&tree, SOURCE).bind(&path(name), BUILD);
        Ok(library.into_iter().fold(sandbox, |sandbox, library| sandbox.bind_read_only(library, WORK)))
    };
    // Builds in a directory, which is configured first if it is new.
    let build = |name: &str, library: Option<&Path>, options: &[&str]| -> Result<()> {
        let (is_new, sandbox) = (!path(name).exists(), sandbox(name, library)?);
        if is_new {
            build::configure(&log, &sandbox, options)?;
        }
        build::compile(&log, &sandbox)
    };
    for patch in Series::Library.patches(&store.settings)? {
        let name = patch.name();
        if patch.is_needed(&tree) {
            patch.apply(&log, &Sandbox::new(&root), &tree)?;
        }
        build("without", None, &[]).with_context(|| format!("{name} does not build without the library"))?;
        let knows = fs::read_to_string(tree.join("meson_options.txt"))?.contains("papr_unplug");
        if knows {
            build("with", Some(&library), &[OURS])
                .with_context(|| format!("{name} does not build with the library"))?;
        }
        println!("{name}: builds without the library{}", if knows { ", and with it" } else { "" });
    }
    ensure!(has_library(&path("with"))?, "the library was there, and QEMU was built without it");
    ensure!(!has_library(&path("without"))?, "the library was not there, and QEMU was built with it");

    let Err(error) = build::configure(&log, &sandbox("refused", None)?, &[OURS]) else {
        bail!("{OURS} without the library is not refused")
    };
    let said = format!("{error:#}");
    let line = said.lines().find(|line| line.contains("ERROR:") && line.contains("papr-unplug"));
    let line = line.with_context(|| format!("{OURS} without the library is refused for another reason: {said}"))?;
    println!("{OURS} without the library: {}", line.trim_start_matches([' ', '|']));

    build::configure(&log, &sandbox("disabled", Some(&library))?, &[NOT_OURS])?;
    ensure!(!has_library(&path("disabled"))?, "{NOT_OURS} does not leave the library out");
    println!("{NOT_OURS} with the library: it is left out");

    let run = path("run");
    fs::create_dir(&run)?;
    build::strip(&log, &root, Host::Own, &path("without"), &run)?;
    bundle::complete(&root, Host::Own, &run, &[])?;
    log.say(format!("==> {SEQUENCES} sequences on stock QEMU and on the patched one without the library"));
    let without = Program::new(&run.join(bundle::PROGRAM), &run.join(bundle::DATA));
    let (mut stock, mut without) = (Vmm::start(&bundle::program(&stock))?, Vmm::start(&without)?);
    let tally = Tally::of(0..SEQUENCES, &mut stock, &mut without)?;
    ensure!(tally.alike == SEQUENCES, "without the library, QEMU is not what it was:\n{tally}");
    println!("without the library: {SEQUENCES} of {SEQUENCES} sequences are answered as by a QEMU without the patches");
    Ok(())
}

/// Returns whether QEMU was configured with the library.
fn has_library(build: &Path) -> Result<bool> {
    let text = fs::read_to_string(build.join("config-host.h")).context("QEMU was not configured")?;
    Ok(text.lines().any(|line| line.starts_with("#define CONFIG_PAPR_UNPLUG")))
}
