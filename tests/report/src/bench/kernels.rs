// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cost of a refusal in patched kernels, compared with stock ones and with the module.
//!
//! The time until the host is told is measured in turns. Boots differ by more than one percent (docs/adr/0065), so what
//! the patches add is judged by the instructions that a guest takes to signal a refusal.

use crate::bench::{
    guest::least,
    table::{self, Bound, Row},
};
use anyhow::{Context, Result};
use papr_unplug_tests::{
    artifacts::Artifacts,
    pairing::Pairing,
    report::{combination::Combination, cost, median::median},
};
use std::{iter, path::Path};

/// The number of times that each guest is asked for its last CPU in each boot.
const REFUSALS: usize = 76;
/// The number of times that the instructions of it are counted.
const COUNTS: usize = 21;

/// The most instructions that a patched kernel may take, in times of a stock one on the same VMM. Counts of one kernel differ
/// by a tenth between boots; the bound is to notice another wake-up or RTAS call.
const AS_FEW: f64 = 1.25;

/// Measures, prints the table, and writes it to `file`. Fails if a target is missed. Each of `kernels` is a patched
/// kernel's name, and what its guests are booted from.
pub fn run(stock: &Artifacts, kernels: &[(&'static str, Artifacts)], file: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let module = Combination::new(stock, Pairing::OURS);
    let of = |pairing| {
        let stock = Combination::new(stock, pairing);
        let patched = kernels
            .iter()
            .map(move |(name, artifacts)| Combination { kernel: Some(name), ..Combination::new(artifacts, pairing) });
        iter::once(stock).chain(patched)
    };
    let combinations: Vec<_> = of(Pairing::STOCK).chain(of(Pairing::STOCK_ON_OURS)).chain([module]).collect();
    say("asking for the last CPU, in each combination in turns");
    let latencies = cost::refusals(&combinations, REFUSALS)?;
    let medians = latencies.iter().map(|latencies| median(&latencies.samples).context("nothing was measured"));
    let medians = medians.map(|median| Ok(median? * 1e3)).collect::<Result<Vec<_>>>()?;
    let mut rows = compared(&combinations, "refusal told", "us", &medians, None)?;

    let mut counts = Vec::new();
    for combination in &combinations {
        say(&format!("counting the instructions until a refusal is signalled, {combination}"));
        let thousands = cost::refusal_instructions(combination, COUNTS)?;
        counts.push(least(&thousands).context("nothing was counted")?);
    }
    rows.extend(compared(
        &combinations,
        "refusal signalled",
        "thousand instructions",
        &counts,
        Some(Bound::AtMost(AS_FEW)),
    )?);
    table::print(&rows, file)?;
    table::check(&rows)
}

/// Compares each value with that of the stock guest on the same VMM, which comes before it. `target` is for patched
/// kernels.
fn compared(
    combinations: &[Combination<'_>],
    what: &str,
    unit: &'static str,
    values: &[f64],
    target: Option<Bound>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut stock = None;
    for (combination, value) in iter::zip(combinations, values) {
        let what = format!("{what}, {combination}");
        rows.push(Row::new(what.clone(), *value, unit));
        if combination.kernel.is_none() && combination.pairing != Pairing::OURS {
            stock = Some(value);
            continue;
        }
        let ratio = Row::new(format!("{what}, over stock guest"), value / stock.context("no stock guest")?, "times");
        let target = target.filter(|_| combination.kernel.is_some());
        rows.push(target.into_iter().fold(ratio, Row::with_target));
    }
    Ok(rows)
}
