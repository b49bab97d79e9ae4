// SPDX-License-Identifier: MIT OR Apache-2.0

//! Build of QEMU for pseries machines from source.

use crate::{
    artifacts::{
        c_library::{self, c_library},
        host::Host,
        patch::Patch,
        qemu::bundle,
        source::{self, Release, source},
    },
    cache::{Artifact, Made, Recipe, Work},
    run::{BUILD, Log, SOURCE, Sandbox, WORK, machine},
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

/// Further options of a build for POWER hosts: KVM, and what libvirt's users expect of devices.
const OPTIONS_ON_POWER: &[&str] = &[
    "--cc=powerpc64le-linux-gnu-gcc",
    "--cross-prefix=powerpc64le-linux-gnu-",
    "--host-cc=gcc",
    "--enable-attr",
    "--enable-cap-ng",
    "--enable-kvm",
    "--enable-linux-aio",
    "--enable-linux-io-uring",
    "--enable-numa",
    "--enable-pixman",
    "--enable-seccomp",
    "--enable-slirp",
    "--enable-vhost-kernel",
    "--enable-vhost-net",
    "--enable-vhost-user",
    "--enable-virtfs",
    "--enable-vnc",
    "--enable-zstd",
];

/// The option that the patches add.
pub(crate) const OURS: &str = "--enable-papr-unplug";

/// The directory of the patches, below the checkout.
const PATCHES: &str = "packaging/qemu";

/// The directory of the patches that take the library's place, below the others.
const FIXES: &str = "fixes";

/// The number of patches, the first ones, that mend QEMU with the library and without.
const GENERAL: usize = 6;

/// The qtest that comes with [`Series::Fixes`], which a build with them has to pass.
const QTEST: &str = "tests/qtest/spapr-unplug-test";

/// The firmware of pseries machines.
const FIRMWARE: &str = "slof.bin";

/// Patches of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// No patch.
    Stock,
    /// What mends QEMU by itself.
    Fixes,
    /// What brings the library in.
    Library,
}

impl Series {
    /// Reads the patches, in their order.
    pub(crate) fn patches(self, settings: &Settings) -> Result<Vec<Patch>> {
        let dir = settings.checkout.join(PATCHES);
        Ok(match self {
            Self::Stock => Vec::new(),
            Self::Fixes => {
                let general = Patch::series(&dir)?.into_iter().take(GENERAL);
                general.chain(Patch::series(&dir.join(FIXES))?).collect()
            }
            Self::Library => Patch::series(&dir)?,
        })
    }
}

/// Returns the options of a build, besides [`OPTIONS`].
fn further_options(host: Host) -> &'static [&'static str] {
    if host == Host::Power { OPTIONS_ON_POWER } else { &[] }
}

/// Returns the recipe of a build from source.
pub(super) fn recipe(kind: &'static str, title: String, release: Release, series: Series, host: Host) -> Recipe {
    let recipe = Recipe::new(kind, title, move |work| make(work, release, series, host))
        .parts([host.root().recipe(), source("qemu", release)])
        .text("options", [OPTIONS, further_options(host)].concat().join(" "))
        .text("wrapper", bundle::WRAPPER)
        .needs(1800)
        .read(move |mut inputs, settings| {
            if series == Series::Library {
                inputs = c_library::interface(inputs, &settings.checkout)?;
            }
            let patches = series.patches(settings)?;
            patches.iter().try_fold(inputs, |inputs, patch| inputs.file(patch.name(), &patch.path))
        });
    match series {
        Series::Stock => recipe,
        Series::Fixes => recipe.text("test", QTEST),
        Series::Library => recipe.text("our options", OURS),
    }
}

fn make(work: &Work<'_>, release: Release, series: Series, host: Host) -> Result<Made> {
    let (log, root) = (&work.log, work.of(host.root().kind).tree());
    let (tree, build) = (work.path("tree"), work.mkdir("build")?);
    unpack(log, &root, work.of(source::kind("qemu", release)), &tree)?;
    Patch::apply_all(log, &Sandbox::new(&root), &series.patches(work.settings)?, &tree)?;
    // The library is not a part: its code can change without a build of QEMU.
    let library = (series == Series::Library).then(|| work.store.ensure(&c_library(host))).transpose()?;
    let mut sandbox = Sandbox::new(&root).bind(&tree, SOURCE).bind(&build, BUILD);
    sandbox =
        library.iter().fold(sandbox, |sandbox, library| sandbox.bind_read_only(&c_library::mounted(library), WORK));
    let options: Vec<&str> = further_options(host).iter().copied().chain(library.is_some().then_some(OURS)).collect();
    configure(log, &sandbox, &options)?;
    compile(log, &sandbox)?;
    if series == Series::Fixes {
        test(log, &root, &sandbox, &build)?;
    }
    strip(log, &root, host, &build, work.dir)?;
    fs::remove_dir_all(&tree)?;
    fs::remove_dir_all(&build)?;
    bundle::complete(&root, host, work.dir, &library.iter().map(c_library::shared).collect::<Vec<_>>())
}

/// Copies the program that was built into `dir`, without debugging information; [`bundle::complete`] adds the rest.
pub(crate) fn strip(log: &Log, root: &Path, host: Host, build: &Path, dir: &Path) -> Result<()> {
    fs::create_dir(dir.join("lib"))?;
    let sandbox = Sandbox::new(root).bind_read_only(build, BUILD).bind(dir, WORK);
    let (from, to) = (format!("{BUILD}/{}", bundle::PROGRAM), format!("{WORK}/{}", bundle::BINARY));
    log.run("stripping QEMU", &mut sandbox.command([&*host.tool("strip"), "--strip-debug", "-o", &to, &from]))
}

/// Unpacks the source into `tree`, with Debian's patches.
pub(crate) fn unpack(log: &Log, root: &Path, source: &Artifact, tree: &Path) -> Result<()> {
    source::unpack(log, &Sandbox::new(root), source, tree)?;
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

/// Configures QEMU with further options. `pkg-config` finds libraries below [`WORK`].
pub(crate) fn configure(log: &Log, sandbox: &Sandbox, options: &[&str]) -> Result<()> {
    let script = format!("cd {BUILD} && export PKG_CONFIG_PATH={WORK}/lib/pkgconfig && exec {SOURCE}/configure \"$@\"");
    let mut command = sandbox.command(["sh", "-c", &script, "configure"]);
    log.run("configuring QEMU", command.args(OPTIONS).args(options))
}

/// Builds what was configured, or what has changed since the last build.
pub(crate) fn compile(log: &Log, sandbox: &Sandbox) -> Result<()> {
    let jobs = machine::jobs().to_string();
    log.run("building QEMU", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs, bundle::PROGRAM]))
}

/// Runs the qtest on the program that was built.
fn test(log: &Log, root: &Path, sandbox: &Sandbox, build: &Path) -> Result<()> {
    // QEMU looks there before it is installed. Debian's archive has no blobs.
    let data = build.join("qemu-bundle/usr/local").join(bundle::DATA);
    fs::create_dir_all(&data)?;
    bundle::copy(&root.join("usr").join(bundle::DATA).join(FIRMWARE), &data.join(FIRMWARE))?;
    let jobs = machine::jobs().to_string();
    log.run("building the qtest", &mut sandbox.command(["ninja", "-C", BUILD, "-j", &jobs, QTEST]))?;
    let script = format!("cd {BUILD} && QTEST_QEMU_BINARY=./{} exec {QTEST}", bundle::PROGRAM);
    log.run("running the qtest", &mut sandbox.command(["sh", "-c", &script]))
}
