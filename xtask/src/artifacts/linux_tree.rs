// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's source tree, with patches of this project.

use crate::{
    artifacts::{linux_source::LinuxSource, patch::Patch},
    cache::{Artifact, Inputs, Made, Parts, Recipe, Store},
    roots::{BUILD_ROOT, Root, tar_arguments},
    run::{SOURCE, WORK},
    settings::Settings,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const TREE: &str = "tree";

/// The parts of the source, a third of the bytes, that neither Kconfig nor the build of a powerpc guest's kernel reads.
const EXCLUDED: &[&str] =
    &["*/Documentation/*/*", "*/drivers/gpu/drm/amd/include/*", "*/tools/perf/*", "*/tools/testing/selftests/*"];

/// The directory with a directory for each series of patches.
const PATCHES: &str = "packaging/linux";

/// The directory of the patches that each tree has.
const GENERAL: &str = "general";

/// The patches in a tree. Each series stands on those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// Fixes that every kernel has that is built here.
    General,
    /// Fixes of removals, with which the kernel hints at every refusal.
    Removal,
    /// The kernel's own answers.
    Answer,
}

impl Series {
    /// Returns the directories of the patches, below [`PATCHES`], in the order in which they are applied.
    fn directories(self) -> &'static [&'static str] {
        match self {
            Self::General => &[GENERAL],
            Self::Removal => &[GENERAL, "removal"],
            Self::Answer => &[GENERAL, "removal", "answer"],
        }
    }

    /// Returns what names of the tree end with.
    fn suffix(self) -> &'static str {
        match self {
            Self::General => "",
            Self::Removal => "-removal",
            Self::Answer => "-answer",
        }
    }
}

/// A tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinuxTree(pub(crate) Series);

impl LinuxTree {
    /// The tree without the patches that are about removals, for what takes no notice of them.
    pub(crate) const GENERAL: Self = Self(Series::General);

    /// Returns the tree on the host.
    pub(crate) fn tree(source: &Artifact) -> PathBuf {
        source.path(TREE)
    }
}

impl Recipe for LinuxTree {
    fn kind(&self) -> &'static str {
        "source"
    }

    fn title(&self) -> String {
        format!("Linux source tree{}", self.0.suffix())
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(LinuxSource)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs = Inputs::default().text("tar", tar_arguments(EXCLUDED).join(" "));
        for directory in self.0.directories() {
            for patch in Patch::series(&settings.checkout.join(PATCHES).join(directory))? {
                inputs = inputs.file(format!("patch {}", name_of(directory, &patch)), &patch.path)?;
            }
        }
        Ok(inputs)
    }

    fn needs(&self) -> u64 {
        1500
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, linux) = (parts.of(&BUILD_ROOT), parts.of(&LinuxSource));
        let mut log = store.log(&format!("source{}", self.0.suffix()))?;
        let package = dir.join("package");
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(linux.path(LinuxSource::LINUX)).arg(&package);
        log.run("unpacking the package", &mut unpack)?;

        let tree = dir.join(TREE);
        fs::create_dir(&tree)?;
        let archive = source_archive(&package.join("usr/src"))?;
        let sandbox = Root::sandbox(root).bind_read_only(&package.join("usr/src"), WORK).bind(&tree, SOURCE);
        let mut tar = sandbox.command(["tar", "-C", SOURCE, "--strip-components=1"]);
        tar.args(tar_arguments(EXCLUDED)).arg("-f").arg(format!("{WORK}/{archive}"));
        log.run("unpacking the source", &mut tar)?;
        fs::remove_dir_all(&package)?;

        let mut made = Made { trees: vec![TREE.into()], ..Made::default() };
        for directory in self.0.directories() {
            let dir = store.settings.checkout.join(PATCHES).join(directory);
            let patches = Patch::series(&dir)?;
            for patch in &patches {
                let is_needed = patch.is_needed(&tree);
                made.fact(&name_of(directory, patch), if is_needed { "applied" } else { "not needed" });
            }
            Patch::apply_all(&mut log, root, &dir, &patches, &tree)?;
        }
        made.fact("linux", linux.fact("linux"));
        Ok(made)
    }
}

/// Returns the name of a patch among all that a tree has. Those that each tree has are named by their files alone.
fn name_of(directory: &str, patch: &Patch) -> String {
    if directory == GENERAL { patch.name() } else { format!("{directory}/{}", patch.name()) }
}

/// Returns the name of the source archive in Debian's package.
fn source_archive(dir: &Path) -> Result<String> {
    let names = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .into_iter()
        .find(|name| name.ends_with(".tar.xz") && name.starts_with("linux-source-"))
        .with_context(|| format!("no source archive in {}", dir.display()))
}
