// SPDX-License-Identifier: MIT OR Apache-2.0

//! Spec files: they have the version of the workspace, and name what the Debian packages install.

use super::*;
use crate::{artifacts::c_library::install, command::package::contents};
use std::fs;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn spec(name: &str) -> String {
    fs::read_to_string(checkout().join("packaging/rpm").join(format!("{name}.spec"))).unwrap()
}

/// Returns the value of a tag.
fn tag<'a>(spec: &'a str, name: &str) -> &'a str {
    spec.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
}

/// Returns the installed paths in the `%files` of a spec, with their macros expanded as on a 64-bit machine.
fn files(text: &str) -> Vec<String> {
    let name = tag(text, "Name:");
    let mut are_files = false;
    let mut paths = Vec::new();
    for line in text.lines() {
        if line.starts_with('%') && line.split(' ').next().is_some_and(|word| SECTIONS.contains(&word)) {
            are_files = line.starts_with("%files");
        } else if are_files && line.starts_with("%{") {
            let expanded = MACROS.iter().fold(line.to_owned(), |path, (from, to)| path.replace(from, to));
            paths.push(expanded.replace("%{name}", name).replace("%{version}", VERSION));
        }
    }
    assert!(paths.iter().all(|path| !path.contains('%')), "{paths:?}");
    paths
}

const SECTIONS: [&str; 5] = ["%package", "%description", "%files", "%post", "%changelog"];

const MACROS: [(&str, &str); 10] = [
    ("%{_bindir}", "usr/bin"),
    ("%{_sbindir}", "usr/sbin"),
    ("%{_mandir}", "usr/share/man"),
    ("%{_libdir}", "usr/lib64"),
    ("%{_includedir}", "usr/include"),
    ("%{_usrsrc}", "usr/src"),
    ("%{_unitdir}", "usr/lib/systemd/system"),
    ("%{_modulesloaddir}", "usr/lib/modules-load.d"),
    ("%{soversion}", "0"),
    ("%{?dist}", ""),
];

/// Returns whether a line of `%files` has the path: the path itself, a directory above it, or a pattern with stars.
fn has(line: &str, path: &str) -> bool {
    let Some((before, after)) = line.split_once('*') else {
        return path == line || path.strip_prefix(line).is_some_and(|rest| rest.starts_with('/'));
    };
    let matches =
        |rest: &str| (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| has(after, &rest[at..]));
    path.strip_prefix(before).is_some_and(|rest| if after.is_empty() { !rest.contains('/') } else { matches(rest) })
}

fn assert_has_all(name: &str, installed: impl IntoIterator<Item = PathBuf>) {
    let lines = files(&spec(name));
    for path in installed {
        let path = path.to_str().unwrap().to_owned();
        assert!(lines.iter().any(|line| has(line, &path)), "{name}.spec lacks {path}: {lines:?}");
    }
}

fn paths(files: Vec<contents::File>) -> impl Iterator<Item = PathBuf> {
    files.into_iter().map(|file| file.to)
}

#[test]
fn spec_has_the_version_of_the_workspace() {
    for name in [PROGRAM, AGENT, DKMS].into_iter().chain(ELSEWHERE.map(|(name, ..)| name)) {
        let spec = spec(name);
        assert_eq!(tag(&spec, "Version:"), VERSION, "{name}");
        assert_eq!(tag(&spec, "Name:"), name);
        let newest = spec.split_once("%changelog\n").unwrap().1.lines().next().unwrap();
        assert!(newest.ends_with(&format!("- {VERSION}-1")), "{name}: {newest}");
    }
}

#[test]
fn spec_of_the_library_has_its_number() {
    let expected = install::SONAME.rsplit('.').next().unwrap();
    assert!(spec(PROGRAM).contains(&format!("%global soversion {expected}\n")));
}

#[test]
fn spec_has_every_file_of_the_debian_package() {
    let none = Path::new("none");
    assert_has_all(DKMS, paths(contents::dkms(checkout(), none, VERSION).unwrap()));
    assert_has_all(AGENT, paths(contents::agent(checkout(), none)));
    assert_has_all(PROGRAM, paths(contents::program(checkout(), none).unwrap()));
    let full = format!("{}.{VERSION}", install::LINK_NAME);
    let library = [install::SONAME, install::LINK_NAME, install::STATIC, &full, "pkgconfig/papr-unplug.pc"];
    assert_has_all(PROGRAM, library.iter().map(|name| Path::new("usr/lib64").join(name)));
    assert_has_all(PROGRAM, [PathBuf::from("usr/include/papr_unplug.h")]);
}

#[test]
fn star_in_files_matches_within_a_directory() {
    assert!(has("usr/share/man/man1/a-*.1*", "usr/share/man/man1/a-b.1"));
    assert!(!has("usr/share/man/man1/a-*.1*", "usr/share/man/man1/b.1"));
    assert!(!has("usr/share/*", "usr/share/man/a.1"));
    assert!(has("usr/src/a", "usr/src/a/b/c") && !has("usr/src/a", "usr/src/ab"));
}
