// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian packages of the module, the programs and the library; `packaging/debian` says what they are.

use crate::{
    artifacts::cross::AGENT,
    command::package::{
        DKMS, PROGRAM, VERSION,
        stages::{Stages, put},
    },
    run::machine,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use walkdir::WalkDir;

/// The `Maintainer:` of locally built packages. A distributor sets its own.
const MAINTAINER: &str = "Local build of papr-unplug <root@localhost>";

/// Makes all packages.
pub(super) fn all(stages: &Stages<'_>) -> Result<Vec<PathBuf>> {
    let libdir = Path::new("usr/lib").join(machine::arch()?.triplet);
    let development = stages.empty("libpapr-unplug-dev")?;
    stages.library(libdir.strip_prefix("usr")?, &development)?;
    // The shared library has a package of its own, so that incompatible versions can be installed together.
    let running = stages.empty("libpapr-unplug0")?;
    fs::create_dir_all(running.join(&libdir))?;
    for entry in fs::read_dir(development.join(&libdir))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("libpapr_unplug.so.") {
            fs::rename(entry.path(), running.join(&libdir).join(entry.file_name()))?;
        }
    }
    Ok(vec![
        dkms(stages, VERSION)?,
        pack(stages, AGENT.file, VERSION, &stages.agent()?)?,
        pack(stages, PROGRAM, VERSION, &stages.program()?)?,
        pack(stages, "libpapr-unplug0", VERSION, &running)?,
        pack(stages, "libpapr-unplug-dev", VERSION, &development)?,
    ])
}

/// Makes the module's package.
pub(super) fn dkms(stages: &Stages<'_>, version: &str) -> Result<PathBuf> {
    pack(stages, DKMS, version, &stages.dkms(version)?)
}

/// Makes the package of the files in `stage`, whose paths are those of the installed files. Returns the package's file.
fn pack(stages: &Stages<'_>, name: &str, version: &str, stage: &Path) -> Result<PathBuf> {
    let debian = stages.checkout().join("packaging/debian");
    let read = |file: &str| {
        let text = fs::read_to_string(debian.join(file)).with_context(|| format!("cannot read {file}"))?;
        anyhow::Ok(text.replace("@version@", version).replace("@host@", machine::arch()?.debian))
    };
    put(&stage.join("usr/share/doc").join(name).join("copyright"), read("copyright")?, 0o644)?;
    let all = read("control")?;
    let begin = format!("Package: {name}\n");
    let fields = all.split("\n\n").find_map(|fields| fields.strip_prefix(&begin)).context("no such package")?;
    let (architecture, _) =
        fields.strip_prefix("Architecture: ").and_then(|rest| rest.split_once('\n')).unwrap_or_default();
    // In KiB, as dpkg-gencontrol counts it, with one for each directory and link.
    let size = WalkDir::new(stage).into_iter().try_fold(0, |size, entry| {
        let found = entry?.metadata()?;
        anyhow::Ok(size + if found.is_file() { found.len().div_ceil(1024) } else { 1 })
    })?;
    let more = format!("Version: {version}\nPriority: optional\nMaintainer: {MAINTAINER}\nInstalled-Size: {size}\n");
    put(&stage.join("DEBIAN/control"), begin + &more + fields.trim_end() + "\n", 0o644)?;
    for script in ["postinst", "prerm", "postrm", "triggers"] {
        let file = format!("{name}.{script}");
        if debian.join(&file).exists() {
            put(&stage.join("DEBIAN").join(script), read(&file)?, 0o755)?;
        }
    }
    let file = stages.into.join(format!("{name}_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    // Equal files make equal packages.
    build.env("SOURCE_DATE_EPOCH", "0").args(["--root-owner-group", "--build"]).arg(stage).arg(&file);
    stages.log.run(&format!("packing {name}"), &mut build)?;
    Ok(file)
}
