// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules of a distribution's kernel that make PCI devices busy, or that the distribution's programs load, as an archive
//! that a kernel unpacks after an initramfs. busybox's `modprobe` finds them.

use crate::{
    artifacts::debian_kernel::{DebianKernel, unpack_xz},
    cache::{Made, Recipe, Work},
    roots::DEBIAN_ROOT,
};
use anyhow::{Context, Result};
use papr_unplug_tests::{cpio::Archive, observe::modinfo::Modinfo};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// The archive in the artifact.
pub(crate) const FILE: &str = "drivers.cpio";

/// The modules, besides those that they depend on.
const MODULES: &[&str] = &[
    "crc32c_generic",
    "dm-mod",
    "ext4",
    "rpadlpar_io",
    "vfio-pci",
    "vfio_iommu_spapr_tce",
    "virtio_blk",
    "virtio_net",
    "virtio_pci",
];

/// The modules of a kernel.
pub(crate) fn drivers(kernel: DebianKernel) -> Recipe {
    let title = format!("drivers of Debian's kernel ({})", kernel.name());
    Recipe::new("debian-drivers", title, move |work| archive(work, kernel, MODULES))
        .parts([DEBIAN_ROOT.recipe(), kernel.recipe()])
        .text("modules", MODULES.join(" "))
        .text("layout", "2")
        .needs(600)
        .file(FILE)
        .logged_as(&kernel.name())
}

/// Writes [`FILE`], with modules of this kernel and those that they depend on. The kernel and [`DEBIAN_ROOT`] are parts.
pub(crate) fn archive(work: &Work<'_>, kernel: DebianKernel, modules: &[&str]) -> Result<Made> {
    let (tree, kept) = (work.path("tree"), work.mkdir("kept")?);
    let release = work.of(DebianKernel::KIND).fact("release");
    kernel.unpack_image(work, &tree)?;
    let mut archive = Drivers { work, all: all(&tree)?, kept, found: BTreeMap::new() };
    for name in modules {
        archive.keep(&normal(name)).with_context(|| format!("the kernel has no usable {name}"))?;
    }
    archive.pack(release, &work.path(FILE))?;
    Ok(Made::default())
}

/// Modules that are kept.
struct Drivers<'a> {
    work: &'a Work<'a>,
    /// The files of all modules, by the modules' names.
    all: BTreeMap<String, PathBuf>,
    /// The directory of those that are kept, uncompressed.
    kept: PathBuf,
    /// The names of those that each depends on, directly or not, in the order in which `modprobe` wants them: the last is
    /// loaded first.
    found: BTreeMap<String, Vec<String>>,
}

/// Returns a module's name as the kernel writes it.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Returns the files of all modules below a directory, by the modules' names.
fn all(tree: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut all = BTreeMap::new();
    for entry in WalkDir::new(tree) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if let Some(name) = name.strip_suffix(".xz").unwrap_or(&name).strip_suffix(".ko") {
            all.insert(normal(name), entry.into_path());
        }
    }
    Ok(all)
}

impl Drivers<'_> {
    /// Keeps a module, and those that it depends on. Modules that are built in are none.
    fn keep(&mut self, name: &str) -> Result<()> {
        let Some(from) = self.all.get(name).filter(|_| !self.found.contains_key(name)) else { return Ok(()) };
        let file = format!("{name}.ko");
        let compressed = from.extension().filter(|end| *end == "xz").map(|_| format!("{file}.xz"));
        fs::copy(from, self.kept.join(compressed.as_ref().unwrap_or(&file)))?;
        if let Some(compressed) = compressed {
            unpack_xz(self.work, &self.kept, &compressed)?;
        }
        let needed = Modinfo::read(&self.kept.join(&file))?.get("depends").unwrap_or_default().to_owned();
        let mut below: Vec<String> = Vec::new();
        for one in needed.split(',').filter(|name| !name.is_empty()).map(normal) {
            self.keep(&one)?;
            let further = self.found.get(&one).cloned().unwrap_or_default();
            below.retain(|known| *known != one && !further.contains(known));
            below.extend(std::iter::once(one).chain(further));
        }
        self.found.insert(name.to_owned(), below);
        Ok(())
    }

    /// Writes the archive, with `modules.dep`.
    fn pack(&self, release: &str, to: &Path) -> Result<()> {
        let mut archive = Archive::new(BufWriter::new(File::create(to)?));
        let directory = format!("lib/modules/{release}");
        archive.directory(&directory)?;
        let mut lines = String::new();
        for (name, below) in &self.found {
            let file = format!("{name}.ko");
            archive.file(&format!("{directory}/{file}"), 0o644, &fs::read(self.kept.join(&file))?)?;
            let below: String = below.iter().map(|name| format!(" {name}.ko")).collect();
            lines += &format!("{file}:{below}\n");
        }
        archive.file(&format!("{directory}/modules.dep"), 0o644, lines.as_bytes())?;
        archive.finish()?.flush()?;
        Ok(())
    }
}
