// SPDX-License-Identifier: MIT OR Apache-2.0

//! Build of QEMU for pseries machines from source.

use crate::{
    artifacts::{c_library::CLibrary, patch::Patch, qemu::bundle, source::Source},
    cache::{
        artifact::Artifact,
        manifest::{Inputs, Made},
        store::Store,
    },
    roots::root::Root,
    run::{
        log::Log,
        machine,
        sandbox::{BUILD, SOURCE, Sandbox, WORK},
    },
    settings::Settings,
};
use anyhow::Result;
use std::{fs, path::Path};

/// The options of `configure`: what a headless pseries guest and qtest need, and nothing that needs further libraries.
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

/// The option that the patches add.
pub(crate) const OURS: &str = "--enable-papr-unplug";

/// The directory of the patches, below the checkout.
const PATCHES: &str = "packaging/qemu";

/// Reads this project's patches, in their order.
pub(crate) fn series(settings: &Settings) -> Result<Vec<Patch>> {
    Patch::series(&settings.checkout.join(PATCHES))
}

/// Returns the inputs of a build.
pub(super) fn inputs(settings: &Settings, is_patched: bool) -> Result<Inputs> {
    let mut inputs =
        Inputs::default().text("options", OPTIONS.join(" ")).text("wrapper", bundle::WRAPPER).text("layout", "1");
    if !is_patched {
        return Ok(inputs);
    }
    inputs = CLibrary::interface(inputs.text("our options", OURS), &settings.checkout)?;
    series(settings)?.iter().try_fold(inputs, |inputs, patch| inputs.file(patch.name(), &patch.path))
}

/// Builds QEMU from `source` in `dir`.
pub(super) fn make(
    store: &Store,
    log: &mut Log,
    root: &Artifact,
    source: &Artifact,
    is_patched: bool,
    dir: &Path,
) -> Result<Made> {
    let (tree, build) = (dir.join("tree"), dir.join("build"));
    fs::create_dir(&build)?;
    unpack(log, root, source, &tree)?;
    let mut sandbox = Root::sandbox(root).bind(&tree, SOURCE).bind(&build, BUILD);
    // The library is not a part: its code can change without a build of QEMU.
    let library = is_patched.then(|| store.ensure(&CLibrary)).transpose()?;
    if let Some(library) = &library {
        apply_patches(&store.settings, log, root, &series(&store.settings)?, &tree)?;
        sandbox = CLibrary::mounted(library, sandbox);
    }
    configure(log, &sandbox, if is_patched { &[OURS] } else { &[] })?;
    compile(log, &sandbox)?;
    strip(log, root, &build, dir)?;
    fs::remove_dir_all(&tree)?;
    fs::remove_dir_all(&build)?;
    bundle::complete(root, dir, &library.iter().map(CLibrary::shared).collect::<Vec<_>>())
}

/// Copies the program that was built into `dir`, without debugging information; [`bundle::complete`] adds the rest.
pub(crate) fn strip(log: &mut Log, root: &Artifact, build: &Path, dir: &Path) -> Result<()> {
    fs::create_dir(dir.join("lib"))?;
    let sandbox = Root::sandbox(root).bind_read_only(build, BUILD).bind(dir, WORK);
    let (from, to) = (format!("{BUILD}/{}", bundle::PROGRAM), format!("{WORK}/{}", bundle::BINARY));
    log.run("stripping QEMU", &mut sandbox.command(["strip", "--strip-debug", "-o", &to, &from]))
}

/// Unpacks the source into `tree`, with Debian's patches.
pub(crate) fn unpack(log: &mut Log, root: &Artifact, source: &Artifact, tree: &Path) -> Result<()> {
    Source::unpack(log, root, source, tree)?;
    // Debian's archive has no blobs, and a build without dtc expects these; no pseries machine reads them.
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

/// Applies those of this project's patches that the source in `tree` still needs.
pub(crate) fn apply_patches(
    settings: &Settings,
    log: &mut Log,
    root: &Artifact,
    patches: &[Patch],
    tree: &Path,
) -> Result<()> {
    Patch::apply_all(log, root, &settings.checkout.join(PATCHES), patches, tree)
}

/// Configures QEMU with further options. `pkg-config` finds libraries below [`WORK`].
pub(crate) fn configure(log: &mut Log, sandbox: &Sandbox, options: &[&str]) -> Result<()> {
    let script = format!("cd {BUILD} && export PKG_CONFIG_PATH={WORK}/lib/pkgconfig && exec {SOURCE}/configure \"$@\"");
    let mut command = sandbox.command(["sh", "-c", &script, "configure"]);
    log.run("configuring QEMU", command.args(OPTIONS).args(options))
}

/// Builds what was configured, or what has changed since the last build.
pub(crate) fn compile(log: &mut Log, sandbox: &Sandbox) -> Result<()> {
    let jobs = machine::jobs().to_string();
    log.run("building QEMU", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs, bundle::PROGRAM]))
}
