// SPDX-License-Identifier: MIT OR Apache-2.0

//! Documents of the repository: the commands that they name exist, their links lead somewhere, the list of decisions
//! is complete, and every file has a licence.

use papr_unplug_cli::arguments::Arguments;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Returns the root of the checkout.
fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns the tracked files whose path ends so, relative to the checkout.
fn tracked(end: &str) -> Vec<String> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(checkout()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let all = String::from_utf8(output.stdout).unwrap();
    let exists = |path: &&str| !path.is_empty() && checkout().join(path).exists();
    all.split('\0').filter(exists).filter(|path| path.ends_with(end)).map(str::to_owned).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = checkout().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the lines of a document outside or inside of its code blocks.
fn lines(document: &str, are_code: bool) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    document.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_fence && is_code == are_code
    })
}

/// Runs xtask without an effect.
fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).arg("--help").output().unwrap()
}

#[test]
fn commands_in_the_readme_are_accepted() {
    let readme = read("README.md");
    let by_user = |line: &str| line.starts_with("$ ") || line.starts_with("# ");
    let shown: Vec<&str> = lines(&readme, true).filter(|line| by_user(line)).map(|line| &line[2..]).collect();
    assert!(shown.len() >= 4, "the README shows commands: {shown:?}");
    for command in shown {
        match *command.split(' ').collect::<Vec<_>>() {
            ["cargo", "xtask", ref arguments @ ..] => {
                let output = xtask(arguments);
                assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            }
            // Programs of the system.
            ["apt" | "dmesg" | "grep" | "modprobe" | "uname", ..] => {}
            ["papr-unplug", ..] => {
                <Arguments as clap::Parser>::try_parse_from(command.split(' ')).unwrap();
            }
            _ => panic!("no test knows this command of the README: {command}"),
        }
    }
}

#[test]
fn commands_in_the_documents_exist() {
    let mut named = BTreeSet::new();
    for document in tracked(".md") {
        for found in read(&document).replace('\n', " ").split("cargo xtask ").skip(1) {
            let end = found.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(found.len());
            named.insert(found[..end].to_owned());
        }
    }
    for command in named.iter().filter(|command| !command.is_empty()) {
        assert!(xtask(&[command.as_str()]).status.success(), "no such command: cargo xtask {command}");
    }
}

/// Returns the anchors of a document's headings, as GitHub makes them.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = lines(document, false).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in tracked(".md") {
        let text = read(&document);
        let prose = lines(&text, false).collect::<Vec<_>>().join("\n");
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => PathBuf::from(&document),
                path => Path::new(&document).with_file_name("").join(path),
            };
            let is_there = checkout().join(&target).exists();
            if !is_there || !(anchor.is_empty() || anchors(&read(&target)).contains(anchor)) {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn list_of_decisions_has_each_with_its_title() {
    let index = read("docs/adr/README.md");
    let files = tracked(".md").into_iter().filter_map(|path| path.strip_prefix("docs/adr/").map(str::to_owned));
    for file in files.filter(|file| file != "README.md") {
        let text = read(Path::new("docs/adr").join(&file));
        let title = text.lines().find_map(|line| line.strip_prefix("# ")).expect("a decision has a title");
        let (number, title) = title.split_once(": ").expect("a title begins with the number");
        assert_eq!(&file[..4], number, "{file}");
        assert!(index.contains(&format!("- [{number}]({file}): {title}\n")), "{file}: {title}");
        assert_eq!(index.matches(&format!("({file})")).count(), 1, "{file}");
    }
}

#[test]
fn every_file_has_a_licence() {
    let reuse: toml::Table = read("REUSE.toml").parse().unwrap();
    let paths = reuse["annotations"].as_array().unwrap().iter().filter(|entry| {
        let entry = entry.as_table().unwrap();
        entry.contains_key("SPDX-License-Identifier")
    });
    let patterns: Vec<String> = paths
        .flat_map(|entry| match &entry["path"] {
            toml::Value::Array(paths) => paths.iter().map(|path| path.as_str().unwrap().to_owned()).collect(),
            path => vec![path.as_str().unwrap().to_owned()],
        })
        .collect();
    let is_covered = |path: &str| {
        patterns.iter().any(|pattern| match pattern.split_once("**") {
            Some((start, end)) => path.starts_with(start) && path.ends_with(end),
            None => path == pattern,
        })
    };
    let says_it = |path: &str| {
        let bytes = fs::read(checkout().join(path)).unwrap();
        String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).contains("SPDX-License-Identifier:")
    };
    // A link says what the file says that it names.
    let is_file = |path: &String| !path.starts_with("LICENSES/") && !checkout().join(path).is_symlink();
    let without = tracked("").into_iter().filter(is_file);
    let without: Vec<String> = without.filter(|path| !is_covered(path) && !says_it(path)).collect();
    assert!(without.is_empty(), "files without a licence:\n{}", without.join("\n"));
}

/// The only place of the version is the workspace's manifest, except where a tool wants a number.
#[test]
fn module_spec_files_and_requirements_have_the_version_of_the_workspace() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("guest-module/shim.c").contains(&format!("MODULE_VERSION(\"{version}\");")));
    for spec in tracked(".spec") {
        assert!(read(&spec).lines().any(|line| line.split_whitespace().eq(["Version:", version])), "{spec}");
    }
    let required = read("Cargo.toml");
    let required = required.lines().filter(|line| line.starts_with("papr-unplug") && line.contains("version"));
    let others: Vec<&str> = required.filter(|line| !line.contains(&format!("\"{version}\""))).collect();
    assert!(others.is_empty(), "{others:?}");
}
