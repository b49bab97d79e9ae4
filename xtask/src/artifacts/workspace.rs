// SPDX-License-Identifier: MIT OR Apache-2.0

//! Members of the workspace, as a workspace of their own that is compiled in a root, without network.

use crate::{
    roots::Foreign,
    run::{BUILD, Log, WORK},
};
use anyhow::{Context, Result};
use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};
use toml::{Table, Value};

/// Cargo's configuration for dependencies that are fetched before.
pub(crate) const VENDORED: &str = r#"[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
"#;

/// Reduces the manifest of the workspace in `stage` to these members, gives it a cargo of its own in `bin`, and fetches
/// dependencies: those of the lock file and without those of tests, or with a requirement for zerocopy the newest that each
/// `rust-version` allows.
pub(crate) fn prepare(log: &Log, stage: &Path, members: &[&str], zerocopy: Option<&str>) -> Result<()> {
    let manifest = stage.join("Cargo.toml");
    fs::write(&manifest, reduced(&fs::read_to_string(&manifest)?, members, zerocopy)?)?;
    if zerocopy.is_none() {
        members.iter().try_for_each(|member| without_tests(&stage.join(member).join("Cargo.toml")))?;
    }
    let cargo = env::var_os("CARGO").context("run this through cargo")?;
    let (bin, config) = (stage.join("bin"), stage.join(".cargo"));
    [&bin, &config].into_iter().try_for_each(fs::create_dir_all)?;
    fs::copy(&cargo, bin.join("cargo")).context("cannot copy cargo")?;
    // rustc links by `cc`, which the build root does not have.
    fs::write(bin.join("cc"), "#!/bin/sh\nexec clang -fuse-ld=lld \"$@\"\n")?;
    fs::set_permissions(bin.join("cc"), fs::Permissions::from_mode(0o755))?;
    // An earlier run may have left one, whose vendored sources would be taken.
    fs::write(config.join("config.toml"), "")?;
    if zerocopy.is_some() {
        log.run("finding the newest dependencies", Command::new(&cargo).arg("update").current_dir(stage))?;
    }
    log.run("fetching dependencies", Command::new(&cargo).args(["vendor", "vendor"]).current_dir(stage))?;
    fs::write(config.join("config.toml"), VENDORED).context("cannot write cargo's configuration")
}

/// Removes from a package's manifest what only its tests take.
fn without_tests(file: &Path) -> Result<()> {
    let mut manifest: Table = fs::read_to_string(file)?.parse()?;
    for section in ["bench", "dev-dependencies", "example", "test"] {
        manifest.remove(section);
    }
    fs::write(file, manifest.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the beginning of a command of cargo in such a workspace, at [`BUILD`], that also compiles for another machine, whose
/// libraries are at [`WORK`], with these flags.
pub(crate) fn cargo(machine: Foreign, flags: &str) -> Vec<String> {
    let variable = machine.target.replace('-', "_").to_uppercase();
    let link = format!("-Clink-arg=--target={} -Clink-arg=--sysroot={WORK}", machine.target.replace("-unknown", ""));
    let flags = format!("CARGO_TARGET_{variable}_RUSTFLAGS=--sysroot={WORK}/usr {flags}{link}");
    let path = format!("PATH={BUILD}/bin:/usr/bin");
    ["env", "--chdir", BUILD, &path, &flags].map(str::to_owned).into()
}

/// Returns the workspace's manifest, reduced to these members.
fn reduced(manifest: &str, members: &[&str], zerocopy: Option<&str>) -> Result<String> {
    let mut manifest: Table = manifest.parse()?;
    // It names packages that are not there.
    manifest.get_mut("profile").and_then(Value::as_table_mut).map(|profiles| profiles.remove("dev"));
    let workspace = manifest.get_mut("workspace").and_then(Value::as_table_mut).context("no workspace")?;
    workspace.insert("members".to_owned(), members.to_vec().into());
    workspace.remove("exclude");
    if let Some(version) = zerocopy {
        workspace["dependencies"]["zerocopy"]["version"] = version.into();
        workspace["dependencies"]["zerocopy-derive"] = version.into();
    }
    Ok(manifest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_keeps_the_members_and_requires_a_zerocopy() {
        let whole = "[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n]\nexclude = [\"c\"]\n\
                     [workspace.package]\nversion = \"1\"\n[workspace.dependencies]\nb = { path = \"b\" }\n\
                     zerocopy = { version = \"0.8\", default-features = false }\nzerocopy-derive = \"0.8\"\n\
                     [profile.dev.package.b]\nopt-level = 3\n[profile.dist]\nlto = true\n";
        let expected = "[workspace]\nmembers = [\"a\"]\n[workspace.package]\nversion = \"1\"\n\
                        [workspace.dependencies]\nb = { path = \"b\" }\n\
                        zerocopy = { version = \"=0.8.54\", default-features = false }\nzerocopy-derive = \"=0.8.54\"\n\
                        [profile.dist]\nlto = true\n";
        let pinned = reduced(whole, &["a"], Some("=0.8.54")).unwrap();
        assert_eq!(pinned.parse::<Table>().unwrap(), expected.parse().unwrap());
        assert!(reduced(whole, &["a"], None).unwrap().contains("\"0.8\""));
    }
}
