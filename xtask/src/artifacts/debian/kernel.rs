// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel as Debian ships it: its image, its headers, and the modules of its own that tests load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use walkdir::WalkDir;

use crate::artifacts::debian::root::DebianRoot;
use crate::artifacts::flavour::Flavour;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::apt::{Apt, newer_first};
use crate::host::sandbox::{BUILD, WORK};
use crate::run::step::{Log, output_of};
use crate::settings::Settings;

/// What the kernels are built for.
const ARCH: &str = "ppc64el";

/// Which of Debian's kernels, by the suite that has it.
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
    /// What QEMU boots, in the artifact.
    pub(crate) const IMAGE: &str = "vmlinux";

    /// Headers and build programs, below the artifact, with the paths that they have in Debian.
    pub(crate) const TREE: &str = "tree";

    const MODULES: &str = "modules";

    /// The name in paths and messages.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The suite that has it, and those that this one stands on.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::Bookworm => &["bookworm"],
            Self::BookwormBackports | Self::BookwormBackports64k => &["bookworm-backports", "bookworm"],
            Self::Trixie | Self::Trixie64k => &["trixie"],
            Self::Forky | Self::Forky64k => &["forky"],
            Self::Experimental | Self::Experimental64k => &["experimental", "sid"],
        }
    }

    /// The end of its packages' names.
    fn flavour(self) -> &'static str {
        match self {
            Self::BookwormBackports64k | Self::Trixie64k | Self::Forky64k | Self::Experimental64k => "powerpc64le-64k",
            _ => "powerpc64le",
        }
    }

    /// The modules of its own that tests load, in the artifact.
    pub(crate) fn modules(self, held: &Artifact) -> Vec<PathBuf> {
        modules().map(|name| held.path(Self::MODULES).join(name)).collect()
    }

    /// A fact of the artifact: `release`, `version`, `gcc` or `headers`.
    pub(crate) fn fact(held: &Artifact, name: &str) -> String {
        held.manifest.facts.get(name).cloned().unwrap_or_default()
    }
}

/// The names of the modules that tests load on any kernel.
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

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&DebianRoot]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        let inputs = Inputs::default().text("suites", self.suites().join(" ")).text("flavour", self.flavour());
        Ok(inputs.text("modules", modules().collect::<Vec<_>>().join(" ")).text("layout", "1"))
    }

    fn needs(&self) -> u64 {
        1200
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root] = parts else { unreachable!("one part is declared") };
        host::require_tools(&store.progress)?;
        let mut log = Log::begin(store, &format!("debian-kernel-{}", self.name()))?;
        let (state, unpacked) = (dir.join("apt"), dir.join("unpacked"));
        let packages = self.fetch(store, &mut log, &state, dir)?;
        for deb in &packages.debs {
            let mut unpack = Command::new("dpkg-deb");
            log.run(store, "unpacking packages", unpack.arg("-x").arg(dir.join(deb)).arg(&unpacked))?;
            fs::remove_file(dir.join(deb))?;
        }
        fs::remove_dir_all(&state)?;

        let release = format!("{}-{}", packages.abi, self.flavour());
        // Since 7.x it is beside the modules, by another name.
        let images = [format!("boot/vmlinux-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
        let image = images.iter().map(|image| unpacked.join(image)).find(|image| image.exists());
        let image = image.with_context(|| format!("{release} has no vmlinux"))?;
        fs::rename(image, dir.join(Self::IMAGE))?;
        keep_modules(store, &mut log, root, &unpacked, dir)?;
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

/// The major version of the gcc that a kernel of this configuration was built with.
pub(crate) fn gcc(config: &str) -> Option<u32> {
    let version: u32 = config.lines().find_map(|line| line.strip_prefix("CONFIG_GCC_VERSION="))?.parse().ok()?;
    (version != 0).then_some(version / 10_000)
}

/// What was fetched.
struct Packages {
    /// The part of the packages' names that stands for the kernel, such as `6.1.0-50`.
    abi: String,
    version: String,
    debs: Vec<String>,
}

impl DebianKernel {
    fn fetch(self, store: &Store, log: &mut Log, state: &Path, dir: &Path) -> Result<Packages> {
        let native = host::arch()?.debian;
        let sources: Vec<(&str, &str)> =
            self.suites().iter().flat_map(|suite| [(*suite, native), (*suite, ARCH)]).collect();
        let apt = Apt::new(store, log, state.to_owned(), &sources)?;
        let flavour = self.flavour();
        let mut images = apt.versions(&format!("^linux-image-[0-9].*-{flavour}$"))?;
        images.sort_by(|(_, a), (_, b)| newer_first(a, b));
        let (last, newer) = images.split_last().with_context(|| format!("{} has no such kernel", self.suites()[0]))?;
        for (image, version) in newer {
            if let Ok(packages) = self.fetch_one(store, log, &apt, image, version, dir) {
                return Ok(packages);
            }
            // A mirror in the middle of an update lists some that are not there.
            store.progress.say(format!("    the mirror lists {image} {version} but does not have all of it"));
            for deb in debs(dir)? {
                fs::remove_file(dir.join(deb))?;
            }
        }
        let (image, version) = last;
        self.fetch_one(store, log, &apt, image, version, dir)
    }

    /// Fetches this kernel's packages.
    fn fetch_one(
        self,
        store: &Store,
        log: &mut Log,
        apt: &Apt,
        image: &str,
        version: &str,
        dir: &Path,
    ) -> Result<Packages> {
        let native = host::arch()?.debian;
        let flavour = self.flavour();
        let image = image.split(':').next().unwrap_or_default();
        store.progress.say(format!("    found {image} {version}"));
        let abi = image
            .strip_prefix("linux-image-")
            .and_then(|name| name.strip_suffix(flavour)?.strip_suffix('-'))
            .context("a kernel with an odd name")?
            .to_owned();

        let headers = format!("linux-headers-{abi}-{flavour}");
        let own = |name: &str| format!("{name}:{ARCH}={version}");
        apt.fetch_only(store, log, &[own(image), own(&headers)], dir)?;
        let mut more = Vec::new();
        for name in dependencies(dir, image)?.into_iter().filter(|name| name.ends_with(flavour)) {
            // Newer images are in several packages.
            if name.starts_with("linux-binary-") || name.starts_with("linux-modules-") {
                more.push(own(&name));
            }
        }
        for name in dependencies(dir, &headers)? {
            if name.ends_with("-common") {
                more.push(format!("{name}={version}"));
            } else if name.starts_with("linux-kbuild-") {
                // Programs that run as a module is built, so for this machine.
                more.push(format!("{name}:{native}={version}"));
            }
        }
        apt.fetch_only(store, log, &more, dir)?;
        Ok(Packages { abi, version: version.to_owned(), debs: debs(dir)? })
    }
}

/// The names of the packages that were fetched.
fn debs(dir: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.ends_with(".deb")).collect())
}

/// The names of the packages that a fetched one depends on, of alternatives the first.
fn dependencies(dir: &Path, package: &str) -> Result<Vec<String>> {
    let deb = crate::artifacts::linux_source::only_deb(dir, &format!("{package}_"))?;
    let listed = output_of(Command::new("dpkg-deb").arg("-f").arg(dir.join(deb)).arg("Depends"))?;
    Ok(listed.split(',').filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect())
}

/// Keeps the modules that tests load, as busybox can load them: not compressed.
fn keep_modules(store: &Store, log: &mut Log, root: &Artifact, unpacked: &Path, dir: &Path) -> Result<()> {
    let kept = dir.join(DebianKernel::MODULES);
    fs::create_dir(&kept)?;
    for entry in WalkDir::new(unpacked) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_file() && modules().any(|module| name.strip_suffix(".xz").unwrap_or(&name) == module) {
            fs::copy(entry.path(), kept.join(&*name))?;
            if name.ends_with(".xz") {
                let sandbox = Root::sandbox(root).bind(&kept, WORK);
                log.run(store, "unpacking modules", &mut sandbox.command(["xz", "-d", &format!("{WORK}/{name}")]))?;
            }
        }
    }
    Ok(())
}

/// Keeps what a module is built with, so that it finds itself where a sandbox sees it.
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
