// SPDX-License-Identifier: MIT OR Apache-2.0

//! Output without a VM: help, explanations, manual pages, completions.

use papr_unplug_cli::{exit_status::STATUSES, manual};
use snapbox::{Data, assert_data_eq, data::DataFormat};
use std::{fs, path::Path};

#[test]
fn commands_print_what_is_documented() {
    // The width of the terminal changes the help.
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/text/*.md");
}

/// `SNAPSHOTS=overwrite cargo test -p papr-unplug-cli --test text` updates the pages.
#[test]
fn manual_pages_are_up_to_date() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let pages = manual::pages().unwrap();
    for (name, page) in &pages {
        assert_data_eq!(page, Data::read_from(&directory.join(name), Some(DataFormat::Text)).raw());
    }
    let mut kept: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    kept.sort();
    let mut made: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    made.sort_unstable();
    assert_eq!(kept, made);
}

#[test]
fn readme_lists_the_exit_statuses() {
    let readme = include_str!("../../README.md").replace('`', "");
    for (status, meaning) in STATUSES {
        assert!(readme.contains(&format!("| {status} | {meaning} |")), "{status}");
    }
}
