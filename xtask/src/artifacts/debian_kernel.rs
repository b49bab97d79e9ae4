// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernels that Debian has built: the image, the headers, and the kernel's own modules that tests load.

use crate::{
    artifacts::flavour::Flavour,
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{DEBIAN_ROOT, Root, extract, only_deb},
    run::{Apt, BUILD, Log, WORK, machine, newer_first, output_of},
    settings::Settings,
};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
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
    /// The image that QEMU boots, in the artifact.
    pub(crate) const IMAGE: &str = "vmlinux";

    /// The directory of headers and build programs, in the artifact, with the paths that they have in Debian.
    pub(crate) const TREE: &str = "tree";

    const MODULES: &str = "modules";

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

    /// Returns the kernel's own modules that tests load.
    pub(crate) fn modules(self, kernel: &Artifact) -> Vec<PathBuf> {
        modules().map(|name| kernel.path(Self::MODULES).join(name)).collect()
    }
}

/// Returns the names of the modules that tests load on every kernel.
fn modules() -> impl Iterator<Item = &'static str> {
    Flavour::Default.modules().iter().filter_map(|path| path.rsplit('/').next())
}

impl Recipe for DebianKernel {
    fn kind(&self) -> &'static str {
        "debian-kernel"
    }

    fn title(&self) -> String {
        format!("Debian's kernel ({})", self.name())
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(DEBIAN_ROOT)]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("suites", self.suites().join(" ")).text("flavour", self.flavour());
        Ok(inputs.text("modules", modules().collect::<Vec<_>>().join(" ")).text("layout", "1"))
    }

    fn needs(&self) -> u64 {
        1200
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        machine::require_tools(&store.progress)?;
        let mut log = store.log(&format!("debian-kernel-{}", self.name()))?;
        let (state, unpacked) = (dir.join("apt"), dir.join("unpacked"));
        let packages = self.fetch(&store.settings, &mut log, &state, dir)?;
        for deb in &packages.debs {
            extract(&mut log, &dir.join(deb), &unpacked)?;
            fs::remove_file(dir.join(deb))?;
        }
        fs::remove_dir_all(&state)?;

        let release = format!("{}-{}", packages.abi, self.flavour());
        // From 7.x on it is beside the modules, under another name.
        let images = [format!("boot/vmlinux-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
        let image = images.iter().map(|image| unpacked.join(image)).find(|image| image.exists());
        let image = image.with_context(|| format!("{release} has no vmlinux"))?;
        fs::rename(image, dir.join(Self::IMAGE))?;
        keep_modules(&mut log, parts.of(&DEBIAN_ROOT), &unpacked, dir)?;
        let headers = format!("usr/src/linux-headers-{release}");
        keep_headers(&unpacked, &headers, &dir.join(Self::TREE))?;
        fs::remove_dir_all(&unpacked)?;

        let config = fs::read_to_string(dir.join(Self::TREE).join(&headers).join(".config"))?;
        let gcc = gcc(&config).context("the kernel does not say which gcc it was built with")?;
        let mut made = Made { files: vec![Self::IMAGE.into()], trees: vec![Self::TREE.into()], ..Made::default() };
        made.files.extend(modules().map(|name| Path::new(Self::MODULES).join(name)));
        made.fact("release", release);
        made.fact("version", packages.version);
        made.fact("gcc", gcc.to_string());
        made.fact("headers", headers);
        Ok(made)
    }
}

/// Returns the major version of the gcc that a kernel of this configuration was built with; `None` if it was another
/// compiler.
pub(crate) fn gcc(config: &str) -> Option<u32> {
    let version: u32 = config.lines().find_map(|line| line.strip_prefix("CONFIG_GCC_VERSION="))?.parse().ok()?;
    (version != 0).then_some(version / 10_000)
}

/// Packages that were fetched.
struct KernelPackages {
    /// The part of the packages' names that stands for the kernel, such as `6.1.0-50`.
    abi: String,
    version: String,
    debs: Vec<String>,
}

impl DebianKernel {
    /// Fetches the newest kernel of which the mirror has all packages.
    fn fetch(self, settings: &Settings, log: &mut Log, state: &Path, dir: &Path) -> Result<KernelPackages> {
        let native = machine::arch()?.debian;
        let sources: Vec<(&str, &str)> =
            self.suites().iter().flat_map(|suite| [(*suite, native), (*suite, ARCH)]).collect();
        let apt = Apt::new(settings, log, state.to_owned(), &sources)?;
        let flavour = self.flavour();
        let mut images = apt.versions(&format!("^linux-image-[0-9].*-{flavour}$"))?;
        images.sort_by(|(_, a), (_, b)| newer_first(a, b));
        let (last, newer) = images.split_last().with_context(|| format!("{} has no such kernel", self.suites()[0]))?;
        for (image, version) in newer {
            if let Ok(packages) = self.fetch_one(log, &apt, image, version, dir) {
                return Ok(packages);
            }
            // A mirror in the middle of an update lists packages that it does not have.
            log.say(format!("    the mirror lists {image} {version} but does not have all of it"));
            for deb in debs(dir)? {
                fs::remove_file(dir.join(deb))?;
            }
        }
        let (image, version) = last;
        self.fetch_one(log, &apt, image, version, dir)
    }

    /// Fetches this kernel's packages.
    fn fetch_one(self, log: &mut Log, apt: &Apt, image: &str, version: &str, dir: &Path) -> Result<KernelPackages> {
        let native = machine::arch()?.debian;
        let flavour = self.flavour();
        let image = image.split(':').next().unwrap_or_default();
        log.say(format!("    found {image} {version}"));
        let abi = image
            .strip_prefix("linux-image-")
            .and_then(|name| name.strip_suffix(flavour)?.strip_suffix('-'))
            .context("a kernel with an odd name")?
            .to_owned();

        let headers = format!("linux-headers-{abi}-{flavour}");
        let own = |name: &str| format!("{name}:{ARCH}={version}");
        apt.fetch_only(log, &[own(&headers)], dir)?;
        self.fetch_image(log, apt, image, version, dir)?;
        let mut more = Vec::new();
        for name in dependencies(dir, &headers)? {
            if name.ends_with("-common") {
                more.push(format!("{name}={version}"));
            } else if name.starts_with("linux-kbuild-") {
                // The build programs run on this machine.
                more.push(format!("{name}:{native}={version}"));
            }
        }
        apt.fetch_only(log, &more, dir)?;
        Ok(KernelPackages { abi, version: version.to_owned(), debs: debs(dir)? })
    }

    /// Fetches the packages with the image and the modules.
    fn fetch_image(self, log: &mut Log, apt: &Apt, image: &str, version: &str, dir: &Path) -> Result<()> {
        let own = |name: &str| format!("{name}:{ARCH}={version}");
        apt.fetch_only(log, &[own(image)], dir)?;
        let flavour = self.flavour();
        // Newer images are split into several packages.
        let is_part = |name: &String| name.starts_with("linux-binary-") || name.starts_with("linux-modules-");
        let parts = dependencies(dir, image)?.into_iter().filter(|name| name.ends_with(flavour) && is_part(name));
        let parts: Vec<String> = parts.map(|name| own(&name)).collect();
        if parts.is_empty() { Ok(()) } else { apt.fetch_only(log, &parts, dir) }
    }

    /// Fetches the packages of the kernel `release` with the image and the modules, and unpacks them into `tree`.
    pub(crate) fn unpack_image(
        self,
        settings: &Settings,
        log: &mut Log,
        (release, version): (&str, &str),
        tree: &Path,
    ) -> Result<()> {
        let work = tree.with_extension("debs");
        fs::create_dir_all(&work)?;
        let sources: Vec<(&str, &str)> = self.suites().iter().map(|suite| (*suite, ARCH)).collect();
        let apt = Apt::new(settings, log, work.join("apt"), &sources)?;
        self.fetch_image(log, &apt, &format!("linux-image-{release}"), version, &work)?;
        for deb in debs(&work)? {
            extract(log, &work.join(deb), tree)?;
        }
        fs::remove_dir_all(&work).map_err(Into::into)
    }
}

/// Returns the names of the package files in `dir`.
fn debs(dir: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.ends_with(".deb")).collect())
}

/// Returns the names of the packages that a fetched one depends on; of alternatives, the first.
fn dependencies(dir: &Path, package: &str) -> Result<Vec<String>> {
    let deb = only_deb(dir, &format!("{package}_"))?;
    let listed = output_of(Command::new("dpkg-deb").arg("-f").arg(dir.join(deb)).arg("Depends"))?;
    Ok(listed.split(',').filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect())
}

/// Keeps the modules that tests load, uncompressed, as busybox loads them.
fn keep_modules(log: &mut Log, root: &Artifact, unpacked: &Path, dir: &Path) -> Result<()> {
    let kept = dir.join(DebianKernel::MODULES);
    fs::create_dir(&kept)?;
    for entry in WalkDir::new(unpacked) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_file() && modules().any(|module| name.strip_suffix(".xz").unwrap_or(&name) == module) {
            fs::copy(entry.path(), kept.join(&*name))?;
            if name.ends_with(".xz") {
                let sandbox = Root::sandbox(root).bind(&kept, WORK);
                log.run("unpacking modules", &mut sandbox.command(["xz", "-d", &format!("{WORK}/{name}")]))?;
            }
        }
    }
    Ok(())
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
