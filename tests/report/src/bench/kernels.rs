// SPDX-License-Identifier: MIT OR Apache-2.0

//! Time until the host is told of a refusal by patched kernels, compared with stock ones and with the module.

use crate::bench::table::{self, Bound, Row};
use anyhow::{Context, Result};
use papr_unplug_tests::{
    artifacts::Artifacts,
    pairing::Pairing,
    report::{combination::Combination, cost, median::median},
};
use std::{iter, path::Path};

/// The number of times that each guest is asked for its last CPU in each boot.
const REFUSALS: usize = 76;

/// The most that a patched kernel may take, in times of a stock one on the same VMM.
const AS_FAST: f64 = 1.02;

/// Measures, prints the table, and writes it to `file`. Fails if a target is missed. Each of `kernels` is a patched
/// kernel's name, and what its guests are booted from.
pub fn run(stock: &Artifacts, kernels: &[(&'static str, Artifacts)], file: &Path, say: &dyn Fn(&str)) -> Result<()> {
    say("asking for the last CPU, with each kernel in turns");
    let module = Combination::new(stock, Pairing::OURS);
    let of = |pairing| {
        let stock = Combination::new(stock, pairing);
        let patched = kernels
            .iter()
            .map(move |(name, artifacts)| Combination { kernel: Some(name), ..Combination::new(artifacts, pairing) });
        iter::once(stock).chain(patched)
    };
    let combinations: Vec<_> = of(Pairing::STOCK).chain(of(Pairing::STOCK_ON_OURS)).chain([module]).collect();
    let latencies = cost::refusals(&combinations, REFUSALS)?;
    let samples: Vec<_> = iter::zip(combinations, latencies.into_iter().map(|latencies| latencies.samples)).collect();
    let rows = compared(&samples)?;
    table::print(&rows, file)?;
    table::check(&rows)
}

/// Compares each combination with that of a stock guest on the same VMM, which comes before it.
fn compared(samples: &[(Combination<'_>, Vec<f64>)]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut stock = None;
    for (combination, samples) in samples {
        let latency = median(samples).context("nothing was measured")?;
        let what = format!("refusal told, {combination}");
        rows.push(Row::new(format!("{what}, median of {}", samples.len()), latency * 1e3, "us"));
        let is_patched = combination.kernel.is_some();
        if !is_patched && combination.pairing != Pairing::OURS {
            stock = Some(latency);
            continue;
        }
        let ratio = Row::new(format!("{what}, over stock guest"), latency / stock.context("no stock guest")?, "times");
        rows.push(if is_patched { ratio.with_target(Bound::AtMost(AS_FAST)) } else { ratio });
    }
    Ok(rows)
}
