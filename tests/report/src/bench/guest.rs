// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cost of the guest module.
//!
//! The time until the host is told of a refusal is measured, in turns with stock parts. The cost of the module's probes
//! is counted in instructions of the guest.

use crate::bench::table::{self, Bound, Row};
use anyhow::{Context, Result};
use papr_unplug_tests::{
    artifacts::Artifacts,
    pairing::{Pairing, Side},
    report::{
        combination::Combination,
        cost::{self, Instructions, Latencies, Removals, Size},
        median::median,
    },
};
use std::{iter, path::Path};

/// The number of times that each guest is asked for its last CPU in each boot.
const REFUSALS: usize = 76;
/// The number of times that a device is removed with the module, and without it.
const REMOVALS: usize = 31;
/// The largest permitted size of the module, in KiB (docs/adr/0077).
const LARGEST: f64 = 82.0;

/// The most that our parts may take for a refusal of what stock parts take (docs/adr/0065).
const SLOWEST: f64 = 1.4;

/// The pairings, the stock one first.
const PAIRINGS: [Pairing; 4] = [Pairing::STOCK, Pairing::OURS_ON_STOCK, Pairing::STOCK_ON_OURS, Pairing::OURS];

/// Measures, prints the table, and writes it to `file`. Fails if a target is missed.
pub fn run(artifacts: &Artifacts, file: &Path, say: &dyn Fn(&str)) -> Result<()> {
    say("loading the module");
    let mut rows = sizes(artifacts)?;
    say("asking for the last CPU, in each pairing in turns");
    let combinations = PAIRINGS.map(|pairing| Combination::new(artifacts, pairing));
    rows.extend(refusals(&cost::refusals(&combinations, REFUSALS)?)?);
    say("counting the instructions of removals");
    rows.extend(removals(&cost::removals(artifacts, REMOVALS)?)?);
    table::print(&rows, file)?;
    table::check(&rows)
}

/// Measures the sizes of the module.
fn sizes(artifacts: &Artifacts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for Size { build, content, empty, loaded, file } in cost::sizes(artifacts)? {
        let row = |what, bytes| Row::new(format!("module, {build}, {what}"), kib(bytes), "KiB");
        rows.push(row("code and data", content).with_target(Bound::AtMost(LARGEST)));
        rows.push(row("of that room for what happens", empty));
        rows.push(row("loaded, with its names, in whole pages", loaded));
        rows.push(row("its file, stripped of debugging information", file));
    }
    Ok(rows)
}

fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn refusals(latencies: &[Latencies]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut medians = Vec::new();
    for (pairing, Latencies { samples }) in iter::zip(PAIRINGS, latencies) {
        let milliseconds = median(samples).context("nothing was measured")?;
        medians.push((pairing, milliseconds));
        let what = format!("refusal told, {}, median of {}", parts(pairing), samples.len());
        rows.push(Row::new(what, milliseconds * 1e3, "us"));
    }
    let of = |pairing| medians.iter().find(|(one, _)| *one == pairing).map(|(_, median)| *median);
    let against = [
        ("armed, over a stock guest on the same VMM", Pairing::OURS, Pairing::STOCK_ON_OURS),
        ("armed, over stock parts alone", Pairing::OURS, Pairing::STOCK),
        ("level 0, over a stock guest on the same VMM", Pairing::OURS_ON_STOCK, Pairing::STOCK),
    ];
    for (what, ours, stock) in against {
        if let (Some(ours), Some(stock)) = (of(ours), of(stock)) {
            let row = Row::new(format!("refusal told, {what}"), ours / stock, "times");
            rows.push(row.with_target(Bound::AtMost(SLOWEST)));
        }
    }
    Ok(rows)
}

/// Returns the least count: one in which the kernel had nothing else to do.
pub(super) fn least(counts: &[f64]) -> Option<f64> {
    counts.iter().copied().min_by(f64::total_cmp)
}

fn parts(Pairing { guest, vmm }: Pairing) -> String {
    let whose = |side| if side == Side::Ours { "our" } else { "stock" };
    format!("{} guest, {} VMM", whose(guest), whose(vmm))
}

fn removals(Removals { dimm, last_cpu, cpu_by_hand }: &Removals) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut added = |what: &str, Instructions { without, with }: &Instructions| {
        let without = least(without).context("nothing was counted")?;
        let added = least(with).context("nothing was counted")? - without;
        rows.push(Row::new(format!("{what}, without the module"), without, "instructions"));
        rows.push(Row::new(format!("{what}, the module adds"), added, "instructions"));
        Ok::<_, anyhow::Error>((without, added))
    };
    let (dimm, of_dimm) = added("removal of a DIMM of four LMBs", dimm)?;
    let (_, of_request) = added("refusal of the last CPU", last_cpu)?;
    let (cpu, of_cpu) = added("removal of a CPU by the administrator", cpu_by_hand)?;
    // The administrator's removal runs through the module's probes, but is no request. The work for a request is added.
    let shares = [("a DIMM of four LMBs", of_dimm / dimm), ("a CPU", (of_cpu + of_request) / cpu)];
    rows.extend(shares.map(|(what, share)| {
        Row::new(format!("the module's share of the removal of {what}"), share * 100.0, "%")
            .with_target(Bound::AtMost(1.0))
    }));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_compared_with_those_of_stock_guests() {
        let latencies = [1.0, 1.0, 2.0, 3.0].map(|median| Latencies { samples: vec![median; 3] });
        let rows = refusals(&latencies).unwrap();
        let lines: Vec<_> = rows.iter().map(Row::line).collect();
        assert_eq!(lines.len(), 7);
        assert!(lines[4].contains("1.50 times") && lines[4].ends_with("at most 1.4  MISSED"), "{}", lines[4]);
        assert!(lines[5].contains("3.00 times"), "{}", lines[5]);
    }

    #[test]
    fn share_of_the_module_is_what_comes_on_top() {
        let counts = |without, with| Instructions { without: vec![without, 1e6], with: vec![1e6, with] };
        let [dimm, last_cpu, cpu_by_hand] = [counts(1000.0, 1005.0), counts(100.0, 106.0), counts(1000.0, 1001.0)];
        let rows = removals(&Removals { dimm, last_cpu, cpu_by_hand }).unwrap();
        let lines: Vec<_> = rows.iter().map(Row::line).collect();
        assert!(lines[6].contains("0.50 %") && lines[7].contains("0.70 %"), "{lines:?}");
    }
}
