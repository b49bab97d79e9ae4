// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules of a distribution's kernel that make PCI devices busy, or that the distribution's programs load, as an archive
//! that a kernel unpacks after an initramfs. busybox's `modprobe` finds them.

use crate::{
    artifacts::debian_kernel::DebianKernel,
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{DEBIAN_ROOT, Root},
    run::{Log, WORK},
    settings::Settings,
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drivers(pub(crate) DebianKernel);

impl Recipe for Drivers {
    fn kind(&self) -> &'static str {
        "debian-drivers"
    }

    fn title(&self) -> String {
        format!("drivers of Debian's kernel ({})", self.0.name())
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(DEBIAN_ROOT), Box::new(self.0)]
    }

    fn inputs(&self, _: &Settings) -> Result<Inputs> {
        Ok(Inputs::default().text("modules", MODULES.join(" ")).text("layout", "2"))
    }

    fn needs(&self) -> u64 {
        600
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let kernel = parts.of(&self.0);
        let release = kernel.fact("release");
        let mut log = store.log(&format!("debian-drivers-{}", self.0.name()))?;
        let tree = dir.join("tree");
        self.0.unpack_image(&store.settings, &mut log, (release, kernel.fact("version")), &tree)?;
        let kept = dir.join("kept");
        fs::create_dir(&kept)?;
        let all = all(&tree)?;
        let mut found = BTreeMap::new();
        for name in MODULES {
            keep(&mut log, parts.of(&DEBIAN_ROOT), &all, &kept, &normal(name), &mut found)
                .with_context(|| format!("the kernel has no usable {name}"))?;
        }
        pack(&kept, release, &found, &dir.join(FILE))?;
        for scratch in [tree, kept] {
            fs::remove_dir_all(scratch)?;
        }
        Ok(Made { files: vec![FILE.into()], ..Made::default() })
    }
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

/// Copies a module, and those that it depends on, into `kept`, uncompressed. Adds to `found` for each the names of those
/// that it depends on, directly or not, in the order in which `modprobe` wants them: the last is loaded first. Modules
/// that are built in are none.
fn keep(
    log: &mut Log,
    root: &Artifact,
    all: &BTreeMap<String, PathBuf>,
    kept: &Path,
    name: &str,
    found: &mut BTreeMap<String, Vec<String>>,
) -> Result<()> {
    let Some(from) = all.get(name).filter(|_| !found.contains_key(name)) else { return Ok(()) };
    let to = kept.join(format!("{name}.ko"));
    let is_compressed = from.extension() == Some("xz".as_ref());
    fs::copy(from, if is_compressed { kept.join(format!("{name}.ko.xz")) } else { to.clone() })?;
    if is_compressed {
        let sandbox = Root::sandbox(root).bind(kept, WORK);
        log.run("unpacking modules", &mut sandbox.command(["xz", "-d", &format!("{WORK}/{name}.ko.xz")]))?;
    }
    let needed = Modinfo::read(&to)?.get("depends").unwrap_or_default().to_owned();
    let mut below: Vec<String> = Vec::new();
    for one in needed.split(',').filter(|name| !name.is_empty()).map(normal) {
        keep(log, root, all, kept, &one, found)?;
        let further = found.get(&one).cloned().unwrap_or_default();
        below.retain(|known| *known != one && !further.contains(known));
        below.extend(std::iter::once(one).chain(further));
    }
    found.insert(name.to_owned(), below);
    Ok(())
}

/// Writes the archive, with `modules.dep`.
fn pack(kept: &Path, release: &str, found: &BTreeMap<String, Vec<String>>, to: &Path) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(to)?));
    let directory = format!("lib/modules/{release}");
    archive.directory(&directory)?;
    let mut lines = String::new();
    for (name, below) in found {
        archive.file(&format!("{directory}/{name}.ko"), 0o644, &fs::read(kept.join(format!("{name}.ko")))?)?;
        let below: String = below.iter().map(|name| format!(" {name}.ko")).collect();
        lines += &format!("{name}.ko:{below}\n");
    }
    archive.file(&format!("{directory}/modules.dep"), 0o644, lines.as_bytes())?;
    archive.finish()?.flush()?;
    Ok(())
}
