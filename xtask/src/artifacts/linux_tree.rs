// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's source tree, with this project's fixes.

use crate::{
    artifacts::{linux_source::LinuxSource, patch::Patch},
    cache::{
        artifact::{Artifact, Parts},
        manifest::{Inputs, Made},
        store::{Recipe, Store},
    },
    roots::{
        root::{BUILD_ROOT, Root},
        untar,
    },
    run::sandbox::{SOURCE, WORK},
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

/// The tree.
#[derive(Debug)]
pub(crate) struct LinuxTree;

impl LinuxTree {
    /// Returns the tree on the host.
    pub(crate) fn tree(source: &Artifact) -> PathBuf {
        source.path(TREE)
    }
}

fn patch_dir(settings: &Settings) -> PathBuf {
    settings.checkout.join("packaging/linux/general")
}

impl Recipe for LinuxTree {
    fn kind(&self) -> &'static str {
        "source"
    }

    fn title(&self) -> String {
        "Linux source tree".to_owned()
    }

    fn parts(&self) -> Vec<Box<dyn Recipe>> {
        vec![Box::new(BUILD_ROOT), Box::new(LinuxSource)]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        let mut inputs = Inputs::default().text("tar", untar::arguments(EXCLUDED).join(" "));
        for patch in Patch::series(&patch_dir(settings))? {
            inputs = inputs.file(format!("patch {}", patch.name()), &patch.path)?;
        }
        Ok(inputs)
    }

    fn needs(&self) -> u64 {
        1500
    }

    fn make(&self, store: &Store, parts: &Parts, dir: &Path) -> Result<Made> {
        let (root, linux) = (parts.of(&BUILD_ROOT), parts.of(&LinuxSource));
        let mut log = store.log("source")?;
        let package = dir.join("package");
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(linux.path(LinuxSource::LINUX)).arg(&package);
        log.run("unpacking the package", &mut unpack)?;

        let tree = dir.join(TREE);
        fs::create_dir(&tree)?;
        let archive = source_archive(&package.join("usr/src"))?;
        let sandbox = Root::sandbox(root).bind_read_only(&package.join("usr/src"), WORK).bind(&tree, SOURCE);
        let mut tar = sandbox.command(["tar", "-C", SOURCE, "--strip-components=1"]);
        tar.args(untar::arguments(EXCLUDED)).arg("-f").arg(format!("{WORK}/{archive}"));
        log.run("unpacking the source", &mut tar)?;
        fs::remove_dir_all(&package)?;

        let mut made = Made { trees: vec![TREE.into()], ..Made::default() };
        for patch in Patch::series(&patch_dir(&store.settings))? {
            let needed = patch.is_needed(&tree);
            made.fact(&patch.name(), if needed { "applied" } else { "not needed" });
            if needed {
                let sandbox = Root::sandbox(root).bind_read_only(&patch_dir(&store.settings), WORK).bind(&tree, SOURCE);
                let mut command =
                    sandbox.command(["patch", "-d", SOURCE, "-p1", "--forward", "--no-backup-if-mismatch", "-i"]);
                command.arg(format!("{WORK}/{}", patch.name()));
                log.run(&format!("applying {}", patch.name()), &mut command)?;
            }
        }
        made.fact("linux", linux.fact("linux"));
        Ok(made)
    }
}

/// Returns the name of the source archive in Debian's package.
fn source_archive(dir: &Path) -> Result<String> {
    let names = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .into_iter()
        .find(|name| name.ends_with(".tar.xz") && name.starts_with("linux-source-"))
        .with_context(|| format!("no source archive in {}", dir.display()))
}
