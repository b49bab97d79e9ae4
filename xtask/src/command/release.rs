// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask release`: makes what a release consists of. The same commit makes the same bytes.

use crate::{
    artifacts::object::{self, object},
    cache::Store,
    command::portability,
    run::{machine, output_of},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes the archive of sources, with those that cargo would fetch.
const SOURCES: &str = r#"
git -C "$(git rev-parse --show-toplevel)" archive --prefix="$name/" --output="$PWD/archive.tar" HEAD
tar -xf archive.tar
cd "$name"
"$cargo" vendor --locked vendor >> .cargo/config.toml
cd ..
tar --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
    -cf "$name.tar" "$name"
gzip -9nf "$name.tar"
rm -r archive.tar "$name"
"#;

/// Makes the release in `target/releases`, and prints the checksums. In a `rehearsal` its changes may be unreleased.
pub(crate) fn run(store: &Store, rehearsal: bool) -> Result<()> {
    let checkout = &store.settings.checkout;
    let git = |words: &[&str]| output_of(Command::new("git").args(words).current_dir(checkout));
    let changed = git(&["status", "--porcelain"])?;
    ensure!(changed.is_empty(), "a release is made of a commit; commit these or remove them:\n{}", changed.trim_end());
    let changes = fs::read_to_string(checkout.join("CHANGELOG.md"))?;
    let notes = section(&changes, if rehearsal { "Unreleased" } else { VERSION }).with_context(|| {
        format!("CHANGELOG.md has no `## {VERSION} - DATE`; docs/releasing.md says what comes before")
    })?;
    let log = store.log("release")?;
    portability::check_abi(store, &log)?;

    let dir = checkout.join("target/releases").join(VERSION);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let (cargo, name) = (machine::cargo(checkout).get_program().to_owned(), format!("papr-unplug-{VERSION}"));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let home = home.context("no home directory")?;
    let epoch = git(&["log", "-1", "--format=%ct"])?;
    let command = |program: &Path, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(checkout).env("SOURCE_DATE_EPOCH", epoch.trim());
        command
    };
    let mut sources = command(Path::new("sh"), &["-exc", SOURCES]);
    log.run("archiving the sources", sources.env("name", &name).env("cargo", &cargo).current_dir(&dir))?;
    let object = store.ensure(&object())?;
    fs::copy(object.file(), dir.join(object::FILE))?;

    let crates =
        published(&output_of(&mut command(cargo.as_ref(), &["metadata", "--no-deps", "--format-version=1"]))?)?;
    let mut package = command(cargo.as_ref(), &["package", "--locked"]);
    log.run("packing and compiling the crates", package.args(crates.iter().map(|name| format!("-p{name}"))))?;
    for name in crates {
        let file = format!("{name}-{VERSION}.crate");
        fs::copy(checkout.join("target/package").join(&file), dir.join(&file))
            .context("cargo packed another version")?;
    }
    for words in [["package"].as_slice(), &["package", "--rpm"]] {
        let mut package = command(&env::current_exe()?, words);
        // Messages of panics name the sources of crates; everything else that is compiled has a relative path.
        package.env("CARGO_ENCODED_RUSTFLAGS", format!("--remap-path-prefix={}=/cargo", home.display()));
        for package in output_of(&mut package)?.lines().map(Path::new).filter(|line| line.is_file()) {
            fs::copy(package, dir.join(package.file_name().context("a package without a name")?))?;
        }
    }

    let wrap = fs::read_to_string(checkout.join("host-vmm/capi/examples/subprojects/papr-unplug.wrap"))?;
    let sum = output_of(Command::new("sha256sum").arg(format!("{name}.tar.gz")).current_dir(&dir))?;
    let hash = sum.split(' ').next().unwrap_or_default();
    let of = format!("directory = {name}\nsource_filename = {name}.tar.gz\nsource_hash = {hash}\n");
    fs::write(dir.join("papr-unplug.wrap"), wrap.replace("directory = papr-unplug\n", &of))?;
    fs::write(dir.join("NOTES.md"), format!("# papr-unplug {VERSION}\n\n{notes}\n"))?;
    let sums = output_of(Command::new("sh").args(["-c", "LC_ALL=C; sha256sum *"]).current_dir(&dir))?;
    fs::write(dir.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    store.progress.say(format!("    {} of commit {}", dir.display(), git(&["rev-parse", "HEAD"])?.trim()));
    Ok(())
}

/// Returns the text below the heading of a version.
fn section<'a>(changes: &'a str, version: &str) -> Option<&'a str> {
    let mut sections = changes.split("\n## ").skip(1);
    let section = sections.find(|section| section.split([' ', '\n']).next() == Some(version))?;
    Some(section.split_once('\n')?.1.trim())
}

/// Returns the names of crates that may be published: those of which `cargo metadata` names no registries.
fn published(metadata: &str) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let packages = metadata["packages"].as_array().context("cargo's metadata are not as expected")?.iter();
    let names = packages.filter(|package| package["publish"].is_null()).filter_map(|package| package["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_is_that_of_the_version_and_no_more() {
        let changes = "# Changes\n\n## Unreleased\n\n- new\n\n## 0.1.10 - 2027-02-03\n- ten\n\n## 0.1.1 - 2027-01-02\n\n### A\n- one\n";
        assert_eq!(section(changes, "Unreleased"), Some("- new"));
        assert_eq!(section(changes, "0.1.1"), Some("### A\n- one"));
        assert_eq!(section(changes, "0.1"), None);
    }

    #[test]
    fn crates_without_a_word_about_it_are_published() {
        let metadata = r#"{"packages": [{"name": "a", "publish": null}, {"name": "b", "publish": []}]}"#;
        assert_eq!(published(metadata).unwrap(), ["a"]);
    }
}
