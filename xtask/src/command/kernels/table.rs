// SPDX-License-Identifier: MIT OR Apache-2.0
//! The results for people: the README's table of kernels.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::command::kernels::record::{Record, Told};

/// What the table stands between in the README.
const BEGIN: &str = "<!-- Generated from tests/kernels.json by `cargo xtask kernels --accept`; do not edit. -->\n";
const END: &str = "<!-- End of what is generated. -->\n";

/// The tables.
pub(crate) fn of(records: &[Record]) -> String {
    let mut text = String::from(
        "| Debian's kernel | pages | face | probes | level | tests passed | module |\n|---|---|---|---|---|---|---|\n",
    );
    for Record { version, survey, suite, .. } in records {
        let probes = match survey.absent.as_slice() {
            [] => format!("all {}", survey.probed.len()),
            absent => format!("{}, without {}", survey.probed.len(), absent.join(", ")),
        };
        let passed = suite.tests - suite.failed;
        let _ = writeln!(
            text,
            "| {version} | {} KiB | {} | {probes} | {} | {passed} of {} in {} min | {} KB |",
            survey.page_kib,
            survey.face,
            level(&survey.said),
            suite.tests,
            suite.seconds.div_ceil(60),
            survey.module_bytes.div_ceil(1000),
        );
    }
    text += "\nWhat a host is told there by the stock guest, and with the module (and what it is told when it asks again once the \
             cause is gone):\n\n| the host asks for | Debian's kernel | stock guest | with the module |\n|---|---|---|---|\n";
    let names = records.first().map(|record| &record.scenarios[..]).unwrap_or_default();
    for name in names.iter().map(|scenario| &scenario.name) {
        for (kernels, stock, ours) in alike(records, name) {
            let _ = writeln!(text, "| {name} | {} | {} | {} |", kernels.join(", "), told(stock), told(ours));
        }
    }
    text
}

/// Who was told what in one scenario; kernels that do the same are in one row.
fn alike<'a>(records: &'a [Record], name: &str) -> Vec<(Vec<String>, &'a Told, &'a Told)> {
    let mut rows: Vec<(Vec<String>, &Told, &Told)> = Vec::new();
    for record in records {
        let kernel = format!("{} ({} KiB)", record.version, record.survey.page_kib);
        let Some(scenario) = record.scenarios.iter().find(|scenario| scenario.name == name) else { continue };
        match rows.iter_mut().find(|(_, stock, ours)| **stock == scenario.stock && **ours == scenario.ours) {
            Some((kernels, ..)) => kernels.push(kernel),
            None => rows.push((vec![kernel], &scenario.stock, &scenario.ours)),
        }
    }
    if let [(kernels, ..)] = &mut rows[..] {
        *kernels = vec!["each".to_owned()];
    }
    rows
}

fn told(told: &Told) -> String {
    match &told.retry {
        Some(retry) => format!("{} ({retry})", told.outcome),
        None => told.outcome.clone(),
    }
}

/// The protocol's level, from what the module said as it was loaded.
fn level(said: &str) -> &str {
    said.split_once("(level ").and_then(|(_, rest)| rest.split(')').next()).unwrap_or("?")
}

/// A text with the tables in their place.
pub(crate) fn placed(text: &str, records: &[Record]) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("README.md has no place for the table of kernels")?;
    let (_, after) = rest.split_once(END).context("README.md does not say where the table of kernels ends")?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", of(records)))
}
