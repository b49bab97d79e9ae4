// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's source tree, with patches of this project.

use crate::{
    artifacts::{
        linux_source::{self, linux_source},
        patch::Patch,
    },
    cache::{Made, Recipe, Work},
    roots::{BUILD_ROOT, extract, tar_arguments},
    run::{SOURCE, WORK},
    settings::Settings,
};
use anyhow::Result;
use std::fs;

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

    /// Reads the patches below each directory, and names them: those that each tree has by their files alone.
    fn patches(self, settings: &Settings) -> Result<Vec<(String, Patch)>> {
        let mut named = Vec::new();
        for directory in self.directories() {
            for patch in Patch::series(&settings.checkout.join(PATCHES).join(directory))? {
                let name = patch.name();
                named.push((if *directory == GENERAL { name } else { format!("{directory}/{name}") }, patch));
            }
        }
        Ok(named)
    }
}

/// The kind of a tree.
pub(crate) const KIND: &str = "source";

/// A tree.
pub(crate) fn linux_tree(series: Series) -> Recipe {
    let suffix = match series {
        Series::General => "",
        Series::Removal => "-removal",
        Series::Answer => "-answer",
    };
    let recipe = Recipe::new(KIND, format!("Linux source tree{suffix}"), move |work| make(work, series))
        .parts([BUILD_ROOT.recipe(), linux_source()])
        .text("tar", tar_arguments(EXCLUDED).join(" "))
        .read(move |inputs, settings| {
            let mut patches = series.patches(settings)?.into_iter();
            patches.try_fold(inputs, |inputs, (name, patch)| inputs.file(format!("patch {name}"), &patch.path))
        })
        .needs(1500)
        .tree("tree");
    if suffix.is_empty() { recipe } else { recipe.logged_as(&suffix[1..]) }
}

fn make(work: &Work<'_>, series: Series) -> Result<Made> {
    let linux = work.of(linux_source::KIND);
    let package = work.path("package");
    extract(&work.log, &linux.file(), &package)?;
    let (tree, archives) = (work.mkdir("tree")?, package.join("usr/src"));
    let sandbox = BUILD_ROOT.sandbox(work).bind_read_only(&archives, WORK).bind(&tree, SOURCE);
    let unpack = format!("exec tar -C {SOURCE} --strip-components=1 \"$@\" -f {WORK}/linux-source-*.tar.xz");
    let mut tar = sandbox.command(["sh", "-c", &unpack, "sh"]);
    work.log.run("unpacking the source", tar.args(tar_arguments(EXCLUDED)))?;
    fs::remove_dir_all(&package)?;

    let patches = series.patches(work.settings)?;
    let mut made = Made::default().fact("linux", linux.fact("linux"));
    let sandbox = BUILD_ROOT.sandbox(work);
    for (name, patch) in &patches {
        let is_needed = patch.is_needed(&tree);
        if is_needed {
            patch.apply(&work.log, &sandbox, &tree)?;
        }
        made = made.fact(name, if is_needed { "applied" } else { "not needed" });
    }
    Ok(made)
}
