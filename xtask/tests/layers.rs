// SPDX-License-Identifier: MIT OR Apache-2.0

//! Layers of xtask: each uses only those below it.

use std::{fs, path::Path};
use walkdir::WalkDir;

/// The layers, the lowest first.
const LAYERS: [&str; 6] = ["settings", "run", "cache", "roots", "artifacts", "command"];

/// Returns the modules at the top of the crate that a source imports.
fn imports(source: &str) -> impl Iterator<Item = &str> {
    // `use crate::{a::x, b::{y}}` has a name after each brace and comma of the first level; other paths have one.
    source.split("crate::").skip(1).flat_map(|rest| {
        let Some(list) = rest.strip_prefix('{') else { return vec![word(rest)] };
        let (mut depth, mut names) = (0, vec![word(list)]);
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(word(&list[at + 1..])),
                _ => {}
            }
        }
        names
    })
}

fn word(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

#[test]
fn imports_of_a_list_are_found() {
    let source = "use crate::{\n    cache::{\n        store::Store,\n    },\n    run::log,\n};\ncrate::roots::x()";
    assert_eq!(imports(source).filter(|name| !name.is_empty()).collect::<Vec<_>>(), ["cache", "run", "roots"]);
}

#[test]
fn layer_uses_only_layers_below_it() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut upward = Vec::new();
    for (level, layer) in LAYERS.iter().enumerate() {
        let files = WalkDir::new(&sources).into_iter().map(Result::unwrap).filter(|entry| {
            let path = entry.path().strip_prefix(&sources).unwrap();
            entry.file_type().is_file() && word(path.to_str().unwrap()) == *layer
        });
        for file in files {
            let source = fs::read_to_string(file.path()).unwrap();
            let above = imports(&source).filter(|name| LAYERS[level + 1..].contains(name));
            upward.extend(above.map(|name| format!("{}: crate::{name}", file.path().display())));
        }
    }
    assert!(upward.is_empty(), "imports from a layer above:\n{}", upward.join("\n"));
}
