// SPDX-License-Identifier: MIT OR Apache-2.0

//! rpmbuild, rpmlint and rpmspec of a root, with the spec files of `packaging/rpm`.

use crate::{
    cache::Artifact,
    command::package::{
        VERSION,
        stages::{Stages, put},
    },
    roots::RPM_ROOT,
    run::{BUILD, SOURCE, Sandbox, WORK, output_of},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// The spec files and what belongs to them, below the checkout; mounted at [`BUILD`].
pub(crate) const SPECS: &str = "packaging/rpm";

/// The files of macros: Debian's, then ours. A package without an architecture beside one that has one makes rpm read them
/// again, but not those of `--load`.
const MACROS: &str = "--macros=/usr/lib/rpm/macros:/usr/lib/rpm/platform/%{_target}/macros:\
                      /usr/lib/rpm/fileattrs/*.attr:/build/macros";

/// What a package is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From<'a> {
    /// The files of the package, in a stage.
    Stage(&'a Path),
    /// A source archive, as the spec names it.
    Archive(&'a Path),
}

/// The tools.
pub(crate) struct Rpm {
    root: Artifact,
}

impl Rpm {
    pub(crate) fn new(stages: &Stages<'_>) -> Result<Self> {
        Ok(Self { root: stages.store.ensure(&RPM_ROOT.recipe())? })
    }

    /// Builds the packages of a spec file, and returns their files.
    pub(crate) fn build(
        &self,
        stages: &Stages<'_>,
        spec: &str,
        machine: &str,
        from: From<'_>,
        version: &str,
    ) -> Result<Vec<PathBuf>> {
        let top = stages.empty(&format!("rpmbuild-{spec}"))?;
        let file = stages.checkout().join(SPECS).join(format!("{spec}.spec"));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        put(&top.join("SPECS").join(format!("{spec}.spec")), with_version(&text, version), 0o644)?;
        // The root's packages are Debian's, which rpm does not know.
        let options = ["rpmbuild", "--nodeps", MACROS, "--target", machine, "--define=_topdir /work"];
        let mut words: Vec<String> = options.map(str::to_owned).into();
        words.extend(["--define=_dbpath /tmp/rpm", "--define=_tmppath /tmp"].map(str::to_owned));
        let mut sandbox = self.sandbox(stages).bind(&top, WORK);
        match from {
            From::Stage(stage) => {
                sandbox = sandbox.bind_read_only(stage, SOURCE);
                words.push(format!("--define=staged {SOURCE}"));
            }
            From::Archive(archive) => {
                let to = top.join("SOURCES").join(archive.file_name().unwrap_or_default());
                put(&to, fs::read(archive)?, 0o644)?;
            }
        }
        words.extend(["-bb".to_owned(), format!("{WORK}/SPECS/{spec}.spec")]);
        stages.log.run(&format!("packing {spec}"), &mut sandbox.command(words))?;
        let mut made = Vec::new();
        for entry in WalkDir::new(top.join("RPMS")).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                let to = stages.into.join(entry.file_name());
                fs::copy(entry.path(), &to).with_context(|| format!("cannot write {}", to.display()))?;
                made.push(to);
            }
        }
        fs::remove_dir_all(top)?;
        Ok(made)
    }

    /// Returns what rpmlint says about packages, and about the spec files that Debian's rpm can parse. Anything that
    /// `rpmlint.toml` does not excuse is an error.
    pub(crate) fn lint(&self, stages: &Stages<'_>, packages: &[PathBuf], specs: &[&str]) -> Result<String> {
        let sandbox = self.sandbox(stages).bind_read_only(&stages.into, WORK);
        let options = ["rpmlint", "--strict", "--config", "/build/rpmlint.toml"];
        let mut words: Vec<String> = options.map(str::to_owned).into();
        let names = packages.iter().filter_map(|file| file.file_name());
        words.extend(names.map(|name| format!("{WORK}/{}", name.to_string_lossy())));
        words.extend(specs.iter().map(|spec| format!("{BUILD}/{spec}.spec")));
        let output = sandbox.command(words).output().context("cannot run bwrap")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rpmlint objects:\n{said}");
        Ok(said)
    }

    /// Returns a spec file as rpm reads it where the stand-ins are the distribution's macros and programs. `distribution`
    /// is the macro that this distribution defines, and its value.
    pub(crate) fn parse(&self, stages: &Stages<'_>, spec: &str, distribution: &str) -> Result<String> {
        let (program, define) = (format!("{BUILD}/with-stand-ins"), format!("--define={distribution}"));
        let words = [&program, "rpmspec", "--define=_dbpath /tmp/rpm", "--target=ppc64le", &define, "--parse"];
        output_of(self.sandbox(stages).command(words).arg(format!("{BUILD}/{spec}.spec")))
    }

    fn sandbox(&self, stages: &Stages<'_>) -> Sandbox {
        Sandbox::new(&self.root.tree()).bind_read_only(&stages.checkout().join(SPECS), BUILD)
    }
}

/// Returns a spec file with another version.
fn with_version(spec: &str, version: &str) -> String {
    let tag = |version: &str| format!("\nVersion:        {version}\n");
    spec.replacen(&tag(VERSION), &tag(version), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_a_spec_is_replaced_in_its_tag_alone() {
        let spec = format!("Name: a\nVersion:        {VERSION}\n* - {VERSION}-1\n");
        assert_eq!(with_version(&spec, "99"), format!("Name: a\nVersion:        99\n* - {VERSION}-1\n"));
    }
}
