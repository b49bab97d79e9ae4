// SPDX-License-Identifier: MIT OR Apache-2.0

//! Spec files: they have the version of the workspace, and name what the Debian packages install.

use super::{DKMS, PROGRAM, VERSION, rpms::ELSEWHERE, stages::layout};
use crate::artifacts::{c_library::SONAME, cross::AGENT};
use std::{fs, path::Path};
use walkdir::WalkDir;

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

/// Returns whether a line of `%files` has the path: the path itself, a directory above it, or a pattern that begins so.
fn has(line: &str, path: &str) -> bool {
    let is_below = path.strip_prefix(line).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_below || line.split_once('*').is_some_and(|(begin, _)| path.starts_with(begin))
}

#[test]
fn spec_has_the_version_of_the_workspace() {
    for name in [PROGRAM, AGENT.file, DKMS].into_iter().chain(ELSEWHERE.map(|(name, ..)| name)) {
        let spec = spec(name);
        assert_eq!(tag(&spec, "Version:"), VERSION, "{name}");
        assert_eq!(tag(&spec, "Name:"), name);
        let newest = spec.split_once("%changelog\n").unwrap().1.lines().next().unwrap();
        assert!(newest.ends_with(&format!("- {VERSION}-1")), "{name}: {newest}");
    }
}

#[test]
fn spec_of_the_library_has_its_number() {
    let expected = SONAME.rsplit('.').next().unwrap();
    assert!(spec(PROGRAM).contains(&format!("%global soversion {expected}\n")));
    let script = fs::read_to_string(checkout().join("host-vmm/capi/install")).unwrap();
    assert!(script.contains(&format!("soname={SONAME}\n")));
}

#[test]
fn spec_has_every_file_that_is_laid_out() {
    for name in [DKMS, AGENT.file, PROGRAM] {
        let (stage, lines) = (tempfile::tempdir().unwrap(), files(&spec(name)));
        assert!(layout(checkout(), name, VERSION, Path::new("/dev/null"), stage.path()).status().unwrap().success());
        for entry in WalkDir::new(stage.path()).into_iter().map(Result::unwrap).filter(|entry| !entry.path().is_dir()) {
            let path = entry.path().strip_prefix(stage.path()).unwrap().to_str().unwrap();
            assert!(lines.iter().any(|line| has(line, path)), "{name}.spec lacks {path}: {lines:?}");
        }
    }
}

#[test]
fn spec_has_every_file_of_the_library() {
    let lines = files(&spec(PROGRAM));
    let full = format!("lib64/libpapr_unplug.so.{VERSION}");
    let names = ["lib64/libpapr_unplug.a", "lib64/libpapr_unplug.so", "lib64/libpapr_unplug.so.0", &full];
    for path in names.into_iter().chain(["lib64/pkgconfig/papr-unplug.pc", "include/papr_unplug.h"]) {
        assert!(lines.contains(&format!("usr/{path}")), "{path}: {lines:?}");
    }
}
