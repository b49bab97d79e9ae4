// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables of the results for people: docs/kernels.md.

use crate::{
    kernels::{
        left_out,
        record::{Record, ScenarioOutcome},
    },
    markdown,
};
use anyhow::Result;
use std::fmt::Write as _;

/// The longest line of text.
const COLUMNS: usize = 120;

/// The markers around the tables in docs/kernels.md.
const BEGIN: &str = "<!-- Generated from tests/kernels.json by `cargo xtask kernels --accept`; do not edit. -->\n";

/// Returns the tables.
pub(crate) fn of(records: &[Record]) -> String {
    let mut text = String::from(
        "| kernel | pages | build | level | probes | tests passed | module |\n|---|---|---|---|---|---|---|\n",
    );
    for Record { version, survey, suite, .. } in records {
        let _ = writeln!(
            text,
            "| {version} | {} KiB | {} | {} | {} | {} of {} in {} | {} KB, loaded {} KB |",
            survey.page_kib,
            survey.build,
            level(&survey.said),
            points(&survey.probes, &survey.probed, &survey.absent),
            suite.tests - suite.failed,
            suite.tests,
            duration(suite.seconds),
            survey.module_bytes.div_ceil(1000),
            survey.loaded_bytes.div_ceil(1000),
        );
    }
    let mut out = Vec::new();
    for (_, why) in records.iter().flat_map(|record| left_out(&record.survey)) {
        if !out.contains(&why) {
            out.push(why);
        }
    }
    text += &wrapped(&format!(
        "\nKernels are Debian's unless the row says otherwise. *Level* is the protocol level that the module reaches on QEMU with \
         the patches; on stock QEMU the level is 0. *Probes* are on these functions of the kernel: {}. *Tests* are the \
         conformance tests of the outcome of each removal, with and without reports, and of loading and unloading the \
         module. Not run: {}. *Module* is the size of the file without debugging information, and the size in memory.",
        names(records).join(", "),
        out.join("; "),
    ));

    text += "\nWhat the host is told on each kernel (in brackets: the reply to a second request, made once the cause was gone):\n\n\
             | the host asks for | kernel | stock guest, stock QEMU | with the module, stock QEMU | with the module, our QEMU \
             |\n|---|---|---|---|---|\n";
    let names = records.first().map(|record| &record.scenarios[..]).unwrap_or_default();
    for name in names.iter().map(|scenario| &scenario.name) {
        for (kernels, cells) in alike(records, name) {
            let _ = writeln!(text, "| {name} | {} | {} |", kernels.join(", "), cells.map(told).join(" | "));
        }
    }
    text
}

/// Returns the number and kind of the module's probes, and the functions without one.
fn points(probes: &str, probed: &[String], absent: &[String]) -> String {
    let without = if absent.is_empty() { String::new() } else { format!(", without {}", quoted(absent).join(", ")) };
    format!("{} {probes}s{without}", probed.len())
}

/// Returns all functions that the module has a probe on in any of these kernels.
fn names(records: &[Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in records.iter().flat_map(|record| &record.survey.probed) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    quoted(&names)
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

/// Returns the outcomes of one scenario, with the kernels that have them in common.
fn alike<'a>(records: &'a [Record], name: &str) -> Vec<(Vec<String>, [&'a ScenarioOutcome; 3])> {
    let mut rows: Vec<(Vec<String>, [&ScenarioOutcome; 3])> = Vec::new();
    for record in records {
        let kernel = format!("{} ({} KiB)", record.version, record.survey.page_kib);
        let Some(scenario) = record.scenarios.iter().find(|scenario| scenario.name == name) else { continue };
        let cells = [&scenario.stock, &scenario.ours_on_stock, &scenario.ours];
        match rows.iter_mut().find(|(_, other)| *other == cells) {
            Some((kernels, _)) => kernels.push(kernel),
            None => rows.push((vec![kernel], cells)),
        }
    }
    if let [(kernels, _)] = &mut rows[..] {
        *kernels = vec!["each".to_owned()];
    }
    rows
}

fn told(told: &ScenarioOutcome) -> String {
    let mut text = told.outcome.clone();
    if told.events > 1 {
        let _ = write!(text, ", {} times", told.events);
    }
    if let Some(reason) = &told.reason {
        let _ = write!(text, ": {reason}");
    }
    if let Some(retry) = &told.retry {
        let _ = write!(text, " ({retry})");
    }
    text
}

/// Returns the protocol's level from the line that the module logs when it is loaded.
fn level(said: &str) -> &str {
    said.split_once("(level ").and_then(|(_, rest)| rest.split(')').next()).unwrap_or("?")
}

/// Breaks a paragraph into lines.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in paragraph.split(' ') {
        if !line.is_empty() && line.trim_start().len() + 1 + word.len() > COLUMNS {
            text += &line;
            text.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    text + &line + "\n"
}

fn duration(seconds: u32) -> String {
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}

/// Returns `text` with the tables in their place.
pub(crate) fn placed(text: &str, records: &[Record]) -> Result<String> {
    markdown::replaced(text, BEGIN, &of(records))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_says_what_was_told_how_often_why_and_what_came_of_asking_again() {
        let cell = |events, reason: Option<&str>| {
            told(&ScenarioOutcome {
                outcome: "refused".into(),
                events,
                reason: reason.map(str::to_owned),
                retry: Some("accepted".into()),
            })
        };
        assert_eq!(cell(1, Some("last-cpu")), "refused: last-cpu (accepted)");
        assert_eq!(cell(2, None), "refused, 2 times (accepted)");
    }

    #[test]
    fn points_are_counted_and_those_without_a_probe_named() {
        let names = ["dlpar_remove_lmb", "node_notify"].map(str::to_owned);
        assert_eq!(points("fprobe", &names, &[]), "2 fprobes");
        assert_eq!(points("kretprobe", &names[..1], &names[1..]), "1 kretprobes, without `node_notify`");
    }

    #[test]
    fn paragraph_is_broken_at_blanks_and_loses_none_of_its_words() {
        let paragraph = "word ".repeat(60) + &"x".repeat(COLUMNS + 1) + " end";
        let text = wrapped(&paragraph);
        assert!(text.lines().all(|line| line.len() <= COLUMNS || !line.contains(' ')));
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), paragraph.split_whitespace().collect::<Vec<_>>());
    }
}
