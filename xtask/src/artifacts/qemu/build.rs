// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU for pseries machines, built from source: as it was released, or with this project's patches.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::artifacts::c_library::CLibrary;
use crate::artifacts::patch::Patch;
use crate::artifacts::qemu::bundle;
use crate::artifacts::qemu::root::QemuRoot;
use crate::artifacts::qemu::source::{QemuSource, Release};
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::sandbox::{BUILD, SOURCE, Sandbox, WORK};
use crate::run::step::Log;
use crate::settings::Settings;

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

/// What the patches add to that.
pub(crate) const OURS: &str = "--enable-papr-unplug";

/// Where the patches are, below the checkout.
const PATCHES: &str = "packaging/qemu";

/// A QEMU built here.
#[derive(Debug)]
pub(crate) struct QemuBuild {
    source: QemuSource,
    is_ours: bool,
}

impl QemuBuild {
    /// As it was released.
    pub(crate) fn stock(release: Release) -> Self {
        Self { source: QemuSource(release), is_ours: false }
    }

    /// With our patches. It is not complete: [`OurQemu`] puts the C library beside it, which can change without this.
    ///
    /// [`OurQemu`]: crate::artifacts::qemu::OurQemu
    pub(crate) fn ours(release: Release) -> Self {
        Self { source: QemuSource(release), is_ours: true }
    }

    fn patches(&self, settings: &Settings) -> Result<Vec<Patch>> {
        if self.is_ours { series(settings) } else { Ok(Vec::new()) }
    }
}

/// Our patches, in their order.
pub(crate) fn series(settings: &Settings) -> Result<Vec<Patch>> {
    Patch::series(&settings.checkout.join(PATCHES))
}

impl Recipe for QemuBuild {
    fn kind(&self) -> &'static str {
        match (self.source.0, self.is_ours) {
            (Release::Stable, false) => "qemu-stable",
            (Release::Newest, false) => "qemu-newest",
            (Release::Stable, true) => "qemu-stable-patched",
            (Release::Newest, true) => "qemu-newest-patched",
        }
    }

    fn title(&self) -> String {
        let patched = if self.is_ours { " with our patches" } else { "" };
        format!("QEMU{patched}, built from source ({})", self.source.0.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&QemuRoot, &self.source]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs =
            Inputs::default().text("options", OPTIONS.join(" ")).text("wrapper", bundle::WRAPPER).text("layout", "1");
        if self.is_ours {
            inputs = CLibrary::interface(inputs.text("our options", OURS), &settings.checkout)?;
        }
        self.patches(settings)?.iter().try_fold(inputs, |inputs, patch| inputs.file(patch.name(), &patch.path))
    }

    fn needs(&self) -> u64 {
        1800
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, source] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, self.kind())?;
        let (tree, build) = (dir.join("tree"), dir.join("build"));
        fs::create_dir(&build)?;
        unpack(store, &mut log, root, source, &tree)?;
        let mut sandbox = Root::sandbox(root).bind(&tree, SOURCE).bind(&build, BUILD);
        let library = self.is_ours.then(|| store.ensure(&CLibrary)).transpose()?;
        if let Some(library) = &library {
            apply_patches(store, &mut log, root, &self.patches(&store.settings)?, &tree)?;
            sandbox = CLibrary::mounted(library, sandbox);
        }
        configure(store, &mut log, &sandbox, if self.is_ours { &[OURS] } else { &[] })?;
        compile(store, &mut log, &sandbox)?;
        strip(store, &mut log, root, &build, dir)?;
        fs::remove_dir_all(&tree)?;
        fs::remove_dir_all(&build)?;
        bundle::complete(root, dir, &library.iter().map(CLibrary::shared).collect::<Vec<_>>())
    }
}

/// Takes the program that was built over into `dir`, to be completed there.
pub(crate) fn strip(store: &Store, log: &mut Log, root: &Artifact, build: &Path, dir: &Path) -> Result<()> {
    fs::create_dir(dir.join("lib"))?;
    let sandbox = Root::sandbox(root).bind_read_only(build, BUILD).bind(dir, WORK);
    let (from, to) = (format!("{BUILD}/{}", bundle::PROGRAM), format!("{WORK}/{}", bundle::BINARY));
    log.run(store, "stripping QEMU", &mut sandbox.command(["strip", "--strip-debug", "-o", &to, &from]))
}

/// Unpacks the source into `tree`, as Debian has it.
pub(crate) fn unpack(store: &Store, log: &mut Log, root: &Artifact, source: &Artifact, tree: &Path) -> Result<()> {
    fs::create_dir(tree)?;
    let sandbox = Root::sandbox(root).bind_read_only(&source.dir, WORK).bind(tree, SOURCE);
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

/// Applies those of our patches that the source in `tree` still needs.
pub(crate) fn apply_patches(
    store: &Store,
    log: &mut Log,
    root: &Artifact,
    patches: &[Patch],
    tree: &Path,
) -> Result<()> {
    let sandbox = Root::sandbox(root).bind_read_only(&store.settings.checkout.join(PATCHES), WORK).bind(tree, SOURCE);
    patches
        .iter()
        .filter(|patch| patch.is_needed(tree))
        .try_for_each(|patch| apply(store, log, &sandbox, &patch.name(), &format!("{WORK}/{}", patch.name())))
}

fn apply(store: &Store, log: &mut Log, sandbox: &Sandbox, name: &str, path: &str) -> Result<()> {
    let words = ["patch", "-d", SOURCE, "-p1", "--forward", "--no-backup-if-mismatch", "-i", path];
    log.run(store, &format!("applying {name}"), &mut sandbox.command(words))
}

/// Configures QEMU with further options; what `sandbox` shows at [`WORK`] is looked at for libraries.
pub(crate) fn configure(store: &Store, log: &mut Log, sandbox: &Sandbox, options: &[&str]) -> Result<()> {
    let script = format!("cd {BUILD} && export PKG_CONFIG_PATH={WORK}/lib/pkgconfig && exec {SOURCE}/configure \"$@\"");
    let mut command = sandbox.command(["sh", "-c", &script, "configure"]);
    log.run(store, "configuring QEMU", command.args(OPTIONS).args(options))
}

/// Builds what was configured, or what has changed since it was built.
pub(crate) fn compile(store: &Store, log: &mut Log, sandbox: &Sandbox) -> Result<()> {
    let jobs = host::jobs().to_string();
    log.run(store, "building QEMU", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs, bundle::PROGRAM]))
}
