// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate decides, and does nothing else.

use std::{fs, path::Path};

/// What of the standard library has effects, or says something that differs from run to run.
const EFFECTS: [&str; 9] = ["time", "thread", "fs", "io", "net", "process", "env", "os", "sync"];
const PRINTS: [&str; 6] = ["print!", "println!", "eprint!", "eprintln!", "dbg!", "unsafe "];

fn sources(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![(path.display().to_string(), fs::read_to_string(&path).unwrap())],
    };
    entries.flat_map(of).collect()
}

/// PUE-V-102: no request can end because time has passed, where nothing can tell the time.
#[test]
fn source_uses_no_clock_and_nothing_else_that_has_effects() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 10);
    for (file, text) in sources {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            // `use std::{a, b}` names its modules behind a brace.
            let names: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let uses_std = line.contains("std::") || line.contains("core::");
            let effect = EFFECTS.iter().find(|effect| uses_std && names.contains(effect));
            let print = PRINTS.iter().find(|print| line.contains(*print));
            assert_eq!(effect.or(print), None, "{file}, line of code {}: {line}", number + 1);
        }
    }
}
