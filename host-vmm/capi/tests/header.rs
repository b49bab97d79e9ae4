// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks `include/papr_unplug.h` against what cbindgen makes of `src/`, and renews it.

use std::{env, fs, path::Path};

const RENEW: &str = "PAPR_UNPLUG_RENEW";

/// Returns the documentation of the crate as a C comment.
fn contract(crate_dir: &Path) -> String {
    let lib = fs::read_to_string(crate_dir.join("src/lib.rs")).unwrap();
    let lines = lib.lines().filter_map(|line| line.strip_prefix("//!"));
    let comment: String = lines.map(|line| format!(" *{line}\n")).collect();
    format!("\n/**\n{comment} */")
}

/// Removes rustdoc's sections about safety, which say of each function that it has the contract at the top.
fn without_safety(header: &str) -> String {
    let mut parts = header.split("\n *\n * # Safety\n");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |whole, part| whole + &part[part.find("\n */").unwrap()..])
}

#[test]
fn header_is_fresh() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).unwrap();
    config.header.get_or_insert_default().push_str(&contract(crate_dir));
    let bindings = cbindgen::Builder::new().with_crate(crate_dir).with_config(config).generate().unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let fresh = without_safety(&String::from_utf8(made).unwrap());

    let path = crate_dir.join("include/papr_unplug.h");
    if env::var_os(RENEW).is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(file == fresh, "include/papr_unplug.h is not what src/ says: run this test with {RENEW}=1 set");
}
