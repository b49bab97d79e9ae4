// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's source, unpacked and patched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::artifacts::linux_source::LinuxSource;
use crate::artifacts::patch::Patch;
use crate::artifacts::root::Root;
use crate::artifacts::untar;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host::sandbox::{SOURCE, WORK};
use crate::run::step::Log;
use crate::settings::Settings;

const TREE: &str = "tree";

/// Parts of the source that neither Kconfig nor a powerpc guest's build looks at, a third of the bytes.
const EXCLUDED: &[&str] =
    &["*/Documentation/*/*", "*/drivers/gpu/drm/amd/include/*", "*/tools/perf/*", "*/tools/testing/selftests/*"];

/// The kernel's source.
#[derive(Debug)]
pub(crate) struct LinuxTree;

impl LinuxTree {
    /// The source tree on the host.
    pub(crate) fn tree(held: &Artifact) -> PathBuf {
        held.path(TREE)
    }
}

fn patch_dir(settings: &Settings) -> PathBuf {
    settings.checkout.join("tests/guest/patches")
}

impl Recipe for LinuxTree {
    fn kind(&self) -> &'static str {
        "source"
    }

    fn title(&self) -> String {
        "Linux source tree".to_owned()
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&Root, &LinuxSource]
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

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, download] = parts else { unreachable!("two parts are declared") };
        let mut log = Log::begin(store, "source")?;
        let package = dir.join("package");
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(download.path(LinuxSource::LINUX)).arg(&package);
        log.run(store, "unpacking the package", &mut unpack)?;

        let tree = dir.join(TREE);
        fs::create_dir(&tree)?;
        let archive = source_archive(&package.join("usr/src"))?;
        let sandbox = Root::sandbox(root).bind_read_only(&package.join("usr/src"), WORK).bind(&tree, SOURCE);
        let mut tar = sandbox.command(["tar", "-C", SOURCE, "--strip-components=1"]);
        tar.args(untar::arguments(EXCLUDED)).arg("-f").arg(format!("{WORK}/{archive}"));
        log.run(store, "unpacking the source", &mut tar)?;
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
                log.run(store, &format!("applying {}", patch.name()), &mut command)?;
            }
        }
        made.fact("linux", download.manifest.facts.get("linux").cloned().unwrap_or_default());
        Ok(made)
    }
}

/// The name of the source archive that Debian's package brings.
fn source_archive(dir: &Path) -> Result<String> {
    let names = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .into_iter()
        .find(|name| name.ends_with(".tar.xz") && name.starts_with("linux-source-"))
        .with_context(|| format!("no source archive in {}", dir.display()))
}
