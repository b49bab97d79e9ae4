// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernels that Debian has built: the image, the headers, and the kernel's own modules that tests load.

use crate::{
    artifacts::{
        flavour::Flavour,
        kernel::{MODULES, file_name},
    },
    cache::{Made, Recipe, Work},
    roots::{DEBIAN_ROOT, debs, extract, only_deb},
    run::{Apt, BUILD, Log, WORK, machine, newer_first, output_of},
};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::{fs, path::Path, process::Command};
use walkdir::WalkDir;

/// The architecture of the kernels.
const ARCH: &str = "ppc64el";

/// A kernel, by the suite that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DebianKernel {
    /// 6.1.
    Bookworm,
    /// 6.12, with 4 KiB pages.
    BookwormBackports,
    /// 6.12, with 64 KiB pages.
    #[value(name = "bookworm-backports-64k")]
    BookwormBackports64k,
    /// 6.12, with 4 KiB pages.
    Trixie,
    /// 6.12, with 64 KiB pages.
    #[value(name = "trixie-64k")]
    Trixie64k,
    /// The next stable release's, with 4 KiB pages.
    Forky,
    /// The next stable release's, with 64 KiB pages.
    #[value(name = "forky-64k")]
    Forky64k,
    /// The newest, with 4 KiB pages.
    Experimental,
    /// The newest, with 64 KiB pages.
    #[value(name = "experimental-64k")]
    Experimental64k,
}

impl DebianKernel {
    /// The kind of the artifact.
    pub(crate) const KIND: &str = "debian-kernel";

    /// Returns the name in paths and messages.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Returns the suite that has it, and the suites that this one builds upon.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::Bookworm => &["bookworm"],
            Self::BookwormBackports | Self::BookwormBackports64k => &["bookworm-backports", "bookworm"],
            Self::Trixie | Self::Trixie64k => &["trixie"],
            Self::Forky | Self::Forky64k => &["forky"],
            Self::Experimental | Self::Experimental64k => &["experimental", "sid"],
        }
    }

    /// Returns the end of its packages' names.
    fn flavour(self) -> &'static str {
        match self {
            Self::BookwormBackports64k | Self::Trixie64k | Self::Forky64k | Self::Experimental64k => "powerpc64le-64k",
            _ => "powerpc64le",
        }
    }

    /// Returns the recipe: of the image that QEMU boots, and of headers and build programs with the paths that they have
    /// in Debian.
    pub(crate) fn recipe(self) -> Recipe {
        let recipe = Recipe::new(Self::KIND, format!("Debian's kernel ({})", self.name()), move |work| self.make(work))
            .parts([DEBIAN_ROOT.recipe()])
            .text("suites", self.suites().join(" "))
            .text("flavour", self.flavour())
            .text("modules", modules().collect::<Vec<_>>().join(" "))
            .text("layout", "1")
            .needs(1200)
            .file("vmlinux")
            .tree("tree")
            .logged_as(&self.name());
        modules().fold(recipe, |recipe, name| recipe.file(Path::new(MODULES).join(name)))
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        machine::require_tools(&work.store.progress)?;
        let (fetched, unpacked) = (work.mkdir("debs")?, work.path("unpacked"));
        let (abi, version) = self.fetch(work, &fetched)?;
        debs(&fetched)?.iter().try_for_each(|deb| extract(&work.log, &fetched.join(deb), &unpacked))?;

        let release = format!("{abi}-{}", self.flavour());
        // From 7.x on it is beside the modules, under another name.
        let images = [format!("boot/vmlinux-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
        let image = images.iter().map(|image| unpacked.join(image)).find(|image| image.exists());
        fs::rename(image.with_context(|| format!("{release} has no vmlinux"))?, work.path("vmlinux"))?;
        keep_modules(work, &unpacked)?;
        let headers = format!("usr/src/linux-headers-{release}");
        let tree = work.path("tree");
        keep_headers(&unpacked, &headers, &tree)?;
        let gcc = gcc(&fs::read_to_string(tree.join(&headers).join(".config"))?);
        let gcc = gcc.context("the kernel does not say which gcc it was built with")?;
        let made = Made::default().fact("release", release).fact("version", version);
        Ok(made.fact("gcc", gcc.to_string()).fact("headers", headers))
    }

    /// Fetches the newest kernel of which the mirror has all packages. Returns the part of the packages' names that stands
    /// for it, such as `6.1.0-50`, and its version.
    fn fetch(self, work: &Work<'_>, into: &Path) -> Result<(String, String)> {
        let native = machine::arch()?.debian;
        let sources: Vec<(&str, &str)> =
            self.suites().iter().flat_map(|suite| [(*suite, native), (*suite, ARCH)]).collect();
        let apt = Apt::new(work.settings, &work.log, work.path("apt"), &sources)?;
        let mut images = apt.versions(&format!("^linux-image-[0-9].*-{}$", self.flavour()))?;
        images.sort_by(|(_, a), (_, b)| newer_first(a, b));
        let (last, newer) = images.split_last().with_context(|| format!("{} has no such kernel", self.suites()[0]))?;
        for (image, version) in newer {
            if let Ok(abi) = self.fetch_one(&work.log, &apt, image, version, into) {
                return Ok((abi, version.clone()));
            }
            // A mirror in the middle of an update lists packages that it does not have.
            work.log.say(format!("    the mirror lists {image} {version} but does not have all of it"));
            debs(into)?.iter().try_for_each(|deb| fs::remove_file(into.join(deb)))?;
        }
        Ok((self.fetch_one(&work.log, &apt, &last.0, &last.1, into)?, last.1.clone()))
    }

    /// Fetches this kernel's packages.
    fn fetch_one(self, log: &Log, apt: &Apt, image: &str, version: &str, into: &Path) -> Result<String> {
        let native = machine::arch()?.debian;
        let flavour = self.flavour();
        let image = image.split(':').next().unwrap_or_default();
        log.say(format!("    found {image} {version}"));
        let abi = image.strip_prefix("linux-image-").and_then(|name| name.strip_suffix(flavour)?.strip_suffix('-'));
        let abi = abi.context("a kernel with an odd name")?.to_owned();
        let headers = format!("linux-headers-{abi}-{flavour}");
        apt.fetch_only(log, &[format!("{headers}:{ARCH}={version}")], into)?;
        self.fetch_image(log, apt, image, version, into)?;
        let more = dependencies(into, &headers)?.into_iter().filter_map(|name| {
            // The build programs run on this machine.
            let kbuild = name.starts_with("linux-kbuild-").then(|| format!("{name}:{native}={version}"));
            kbuild.or_else(|| name.ends_with("-common").then(|| format!("{name}={version}")))
        });
        apt.fetch_only(log, &more.collect::<Vec<_>>(), into)?;
        Ok(abi)
    }

    /// Fetches the packages with the image and the modules.
    fn fetch_image(self, log: &Log, apt: &Apt, image: &str, version: &str, into: &Path) -> Result<()> {
        let own = |name: &str| format!("{name}:{ARCH}={version}");
        apt.fetch_only(log, &[own(image)], into)?;
        let flavour = self.flavour();
        // Newer images are split into several packages.
        let is_part = |name: &String| name.starts_with("linux-binary-") || name.starts_with("linux-modules-");
        let parts = dependencies(into, image)?.into_iter().filter(|name| name.ends_with(flavour) && is_part(name));
        let parts: Vec<String> = parts.map(|name| own(&name)).collect();
        if parts.is_empty() { Ok(()) } else { apt.fetch_only(log, &parts, into) }
    }

    /// Fetches the packages with the image and the modules of the kernel that is a part, and unpacks them into `tree`.
    pub(crate) fn unpack_image(self, work: &Work<'_>, tree: &Path) -> Result<()> {
        let (fetched, kernel) = (work.mkdir("debs")?, work.of(Self::KIND));
        let sources: Vec<(&str, &str)> = self.suites().iter().map(|suite| (*suite, ARCH)).collect();
        let apt = Apt::new(work.settings, &work.log, work.path("apt"), &sources)?;
        let image = format!("linux-image-{}", kernel.fact("release"));
        self.fetch_image(&work.log, &apt, &image, kernel.fact("version"), &fetched)?;
        debs(&fetched)?.iter().try_for_each(|deb| extract(&work.log, &fetched.join(deb), tree))
    }
}

/// Returns the names of the modules that tests load on every kernel.
fn modules() -> impl Iterator<Item = &'static str> {
    Flavour::Default.modules().iter().map(|path| file_name(path))
}

/// Returns the major version of the gcc that a kernel of this configuration was built with; `None` if it was another
/// compiler.
pub(crate) fn gcc(config: &str) -> Option<u32> {
    let version: u32 = config.lines().find_map(|line| line.strip_prefix("CONFIG_GCC_VERSION="))?.parse().ok()?;
    (version != 0).then_some(version / 10_000)
}

/// Returns the names of the packages that a fetched one depends on; of alternatives, the first.
fn dependencies(dir: &Path, package: &str) -> Result<Vec<String>> {
    let deb = only_deb(dir, &format!("{package}_"))?;
    let listed = output_of(Command::new("dpkg-deb").arg("-f").arg(dir.join(deb)).arg("Depends"))?;
    Ok(listed.split(',').filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect())
}

/// Keeps the modules that tests load, uncompressed, as busybox loads them.
fn keep_modules(work: &Work<'_>, unpacked: &Path) -> Result<()> {
    let kept = work.mkdir(MODULES)?;
    for entry in WalkDir::new(unpacked) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_file() && modules().any(|module| name.strip_suffix(".xz").unwrap_or(&name) == module) {
            fs::copy(entry.path(), kept.join(&*name))?;
            if name.ends_with(".xz") {
                unpack_xz(work, &kept, &name)?;
            }
        }
    }
    Ok(())
}

/// Unpacks a compressed module in its directory, by the tools of [`DEBIAN_ROOT`].
pub(crate) fn unpack_xz(work: &Work<'_>, dir: &Path, name: &str) -> Result<()> {
    let sandbox = DEBIAN_ROOT.sandbox(work).bind(dir, WORK);
    work.log.run("unpacking modules", &mut sandbox.command(["xz", "-d", &format!("{WORK}/{name}")]))
}

/// Keeps the headers and build programs, and corrects their paths to those in a sandbox.
fn keep_headers(unpacked: &Path, headers: &str, tree: &Path) -> Result<()> {
    for part in ["usr/src", "usr/lib"] {
        fs::create_dir_all(tree.join(part))?;
        for entry in fs::read_dir(unpacked.join(part)).with_context(|| format!("no {part} in the packages"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("linux-") {
                fs::rename(entry.path(), tree.join(part).join(entry.file_name()))?;
            }
        }
    }
    let makefile = tree.join(headers).join("Makefile");
    let text = fs::read_to_string(&makefile).with_context(|| format!("cannot read {}", makefile.display()))?;
    fs::write(&makefile, text.replace("/usr/src/", &format!("{BUILD}/usr/src/")))
        .context("cannot write the headers' Makefile")
}
