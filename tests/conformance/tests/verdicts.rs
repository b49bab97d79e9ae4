// SPDX-License-Identifier: MIT OR Apache-2.0

//! Verdicts about this project's parts, stock parts and the toy guest are those of `spec/conformance.md`.

use anyhow::{Context as _, Result, ensure};
use papr_unplug_conformance::{judge, verdict::Verdicts, vm::GuestDir};
use papr_unplug_differential::program::Program;
use papr_unplug_tests::{artifacts::Artifacts, pairing::Side};
use std::{collections::BTreeMap, fs, path::Path};

/// Checks verdicts against their column in the table whose clauses begin with `prefix`.
fn check(verdicts: &Verdicts, prefix: &str) -> Result<()> {
    println!("{verdicts}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/conformance.md");
    let text = fs::read_to_string(file)?;
    let tables = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<&str>> = tables.map(|row| row.split(" | ").collect()).collect();
    let (at, head) = rows
        .iter()
        .enumerate()
        .find(|(at, row)| row[0] == "clause" && rows.get(at + 1).is_some_and(|row| row[0].starts_with(prefix)))
        .context("spec/conformance.md has no such table")?;
    let column = head.iter().position(|name| *name == verdicts.about).context("the table has no such column")?;
    let of_table: BTreeMap<&str, &str> =
        rows[at + 1..].iter().take_while(|row| row[0].starts_with(prefix)).map(|row| (row[0], row[column])).collect();
    let mut differences = Vec::new();
    for (clause, verdict) in verdicts.iter() {
        let (accepted, seen) = (of_table.get(clause).copied().unwrap_or("not shown"), verdict.to_string());
        if accepted != seen {
            differences.push(format!("{clause}: {seen}, and the table has {accepted}"));
        }
    }
    ensure!(
        differences.is_empty(),
        "{} (`cargo xtask conformance --table` prints the tables):\n{}",
        verdicts.about,
        differences.join("\n")
    );
    Ok(())
}

fn check_guest(side: Side) -> Result<()> {
    let artifacts = Artifacts::find()?;
    let dir = GuestDir::of_ours(&artifacts, side)?;
    check(&judge::guest(&artifacts, &dir, &side.to_string())?, "PUE-G-")
}

fn check_vmm(side: Side) -> Result<()> {
    let artifacts = Artifacts::find()?;
    check(&judge::vmm(&Program::of(&artifacts, side)?, &side.to_string())?, "PUE-V-")
}

#[test]
fn our_guest_is_judged_as_the_specification_says() -> Result<()> {
    check_guest(Side::Ours)
}

#[test]
fn stock_guest_is_judged_as_the_specification_says() -> Result<()> {
    check_guest(Side::Stock)
}

#[test]
fn toy_guest_is_judged_as_the_specification_says() -> Result<()> {
    check(&judge::toy()?, "PUE-G-")
}

#[test]
fn our_vmm_is_judged_as_the_specification_says() -> Result<()> {
    check_vmm(Side::Ours)
}

#[test]
fn stock_vmm_is_judged_as_the_specification_says() -> Result<()> {
    check_vmm(Side::Stock)
}

#[test]
fn toy_vmm_is_judged_as_the_specification_says() -> Result<()> {
    let program = Program::new(Path::new(env!("CARGO_BIN_EXE_toy-vmm")), Path::new(""));
    check(&judge::vmm(&program, "toy VMM")?, "PUE-V-")
}
