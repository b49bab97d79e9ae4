// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian package of the files in a directory.

use crate::{command::package::contents::put, run::Log};
use anyhow::Result;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The fields of the control file, and the maintainer scripts.
#[derive(Debug)]
pub(crate) struct Deb {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) architecture: &'static str,
    pub(crate) section: &'static str,
    pub(crate) depends: String,
    /// The short description, and the long one.
    pub(crate) description: (&'static str, &'static str),
    /// The names and texts of maintainer scripts and other files of control information.
    pub(crate) scripts: Vec<(&'static str, String)>,
}

impl Deb {
    /// Makes the package of the files in `stage`, whose paths are those of the installed files. Returns the package's
    /// file.
    pub(crate) fn make(&self, log: &Log, stage: &Path, into: &Path) -> Result<PathBuf> {
        put(&stage.join("usr/share/doc").join(self.name).join("copyright"), COPYRIGHT, 0o644)?;
        put(&stage.join("DEBIAN/control"), self.control(), 0o644)?;
        for (name, text) in &self.scripts {
            put(&stage.join("DEBIAN").join(name), text, 0o755)?;
        }
        let file = into.join(format!("{}_{}_{}.deb", self.name, self.version, self.architecture));
        let mut build = Command::new("dpkg-deb");
        // Equal files make equal packages.
        build.env("SOURCE_DATE_EPOCH", "0").args(["--root-owner-group", "--build"]).arg(stage).arg(&file);
        log.run(&format!("packing {}", self.name), &mut build)?;
        Ok(file)
    }

    fn control(&self) -> String {
        let (short, long) = self.description;
        let Self { name, version, architecture, section, depends, .. } = self;
        let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nSection: {section}\nPriority: optional\n\
             Maintainer: {MAINTAINER}\n{depends}Description: {short}\n {long}\n"
        )
    }
}

/// The `Maintainer:` of locally built packages. A distributor sets its own.
const MAINTAINER: &str = "Local build of papr-unplug <root@localhost>";

const COPYRIGHT: &str = "\
The guest module is GPL-2.0-only; everything else is MIT or Apache-2.0, at your choice. Every file says so in an SPDX line.
On Debian systems the texts of the GPL and of the Apache License are in /usr/share/common-licenses.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_names_what_dpkg_needs() {
        let deb = Deb {
            name: "a-b",
            version: "1.0".into(),
            architecture: "all",
            section: "kernel",
            depends: String::new(),
            description: ("does it", "At length."),
            scripts: Vec::new(),
        };
        let control = deb.control();
        assert!(control.starts_with("Package: a-b\nVersion: 1.0\nArchitecture: all\n"), "{control}");
        assert!(
            control.ends_with("\nDescription: does it\n At length.\n") && !control.contains("Depends"),
            "{control}"
        );
    }
}
