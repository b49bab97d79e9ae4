// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks `src/explanation.rs` against `spec/reasons.toml`, and renews it.

use papr_unplug::{explanation::Explanation, wire::reason::Reason};
use std::{env, fs, path::Path};

const RENEW: &str = "PAPR_UNPLUG_RENEW";

fn reasons() -> Vec<(u8, String, String, &'static str)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/reasons.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let entry = |reason: &toml::Value| {
        let text = |key: &str| reason[key].as_str().unwrap().to_owned();
        (
            u8::try_from(reason["code"].as_integer().unwrap()).unwrap(),
            text("meaning"),
            text("advice"),
            persistence(&text("persistence")),
        )
    };
    file["reason"].as_array().unwrap().iter().map(entry).collect()
}

fn persistence(name: &str) -> &'static str {
    match name {
        "transient" => "Transient",
        "needs-action" => "NeedsAction",
        "permanent" => "Permanent",
        "unknown" => "Unknown",
        other => panic!("{other}"),
    }
}

#[test]
fn generated_file_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explanation.rs");
    let file = fs::read_to_string(&path).unwrap();
    let (head, rest) = file.split_once("match reason.0 {\n").unwrap();
    let (_, tail) = rest.split_once("            _ => return None,\n").unwrap();
    let arm = |(code, meaning, advice, persistence): (u8, String, String, &str)| {
        format!(
            "            {code} => (\n                {meaning:?},\n                {advice:?},\n                \
             Persistence::{persistence},\n            ),\n"
        )
    };
    let arms: String = reasons().into_iter().map(arm).collect();
    let fresh = format!("{head}match reason.0 {{\n{arms}            _ => return None,\n{tail}");
    if env::var_os(RENEW).is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert!(file == fresh, "src/explanation.rs is not what spec/reasons.toml says: run this test with {RENEW}=1 set");
}

#[test]
fn every_reason_is_explained_and_no_other() {
    assert!(Reason::ALL.iter().all(|reason| Explanation::of(*reason).is_some()));
    let unknown = (0..=u8::MAX).map(Reason).filter(|reason| reason.name().is_none());
    assert!(unknown.map(Explanation::of).all(|explanation| explanation.is_none()));
}
