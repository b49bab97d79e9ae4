// SPDX-License-Identifier: MIT OR Apache-2.0

//! Durations of removals on our QEMU, compared with a stock one that is built in the same way from the same source.
//!
//! Removals with guests are what users wait for. Removals without one show the VMM alone, as a function of the LMBs.

use crate::bench::table::{self, Bound, Row};
use anyhow::{Context, Result};
use papr_unplug_differential::{
    large_dimm::{LargeDimm, Took},
    program::Program,
};
use papr_unplug_tests::{
    artifacts::Artifacts,
    pairing::Pairing,
    report::{
        combination::Combination,
        cost::{self, Latencies},
        median::median,
    },
};
use std::{iter, path::Path, time::Duration};

/// The number of times that each guest is asked for its last CPU.
const REFUSALS: usize = 201;
/// The size of the DIMM that guests give back, in LMBs, and the number of times.
const LARGE: u64 = 256;
const REMOVALS: usize = 11;
/// The sizes of the DIMMs that are removed without a guest, in LMBs, and the number of times for each. QEMU keeps a MiB
/// for each LMB whose node was read.
const CURVE: [u32; 6] = [16, 64, 256, 1_024, 2_048, 4_096];
const REMOVALS_PER_SIZE: usize = 11;
/// The size from which on our QEMU must be faster than the stock one, in LMBs.
const THOUSANDS: u32 = 2_048;

/// The most that removals with guests may take on our QEMU, in times of stock.
const AS_FAST: f64 = 1.05;

/// The stock guest on both QEMUs, and our guest on ours.
const PAIRINGS: [Pairing; 3] = [Pairing::STOCK, Pairing::STOCK_ON_OURS, Pairing::OURS];

/// Measures, prints the table, and writes it to `file`. Fails if a target is missed. `artifacts` has the stock QEMU
/// `stock`, and ours.
pub fn run(artifacts: &Artifacts, stock: &Program, ours: &Program, file: &Path, say: &dyn Fn(&str)) -> Result<()> {
    say("asking for the last CPU, in each pairing in turns");
    let combinations = PAIRINGS.map(|pairing| Combination::new(artifacts, pairing));
    let mut rows = guests("last CPU refused", &cost::refusals(&combinations, REFUSALS)?)?;
    say(&format!("removing a DIMM of {LARGE} LMBs, in each pairing in turns"));
    let removals = cost::large_removals(&combinations, LARGE, REMOVALS)?;
    rows.extend(guests(&format!("DIMM of {LARGE} LMBs removed"), &removals)?);
    rows.extend(curve(stock, ours, say)?);
    table::print(&rows, file)?;
    table::check(&rows)
}

/// Compares pairings with the first one, which is stock.
fn guests(what: &str, latencies: &[Latencies]) -> Result<Vec<Row>> {
    let medians = latencies.iter().map(|latencies| median(&latencies.samples).context("nothing was measured"));
    let medians = medians.collect::<Result<Vec<f64>>>()?;
    let names = ["stock QEMU", "our QEMU", "our QEMU, our guest"];
    let mut rows: Vec<Row> = iter::zip(names, &medians)
        .map(|(parts, median)| Row::new(format!("{what}, {parts}"), *median, "ms, median"))
        .collect();
    let ratio = |parts, median: f64| Row::new(format!("{what}, {parts} over stock"), median / medians[0], "times");
    rows.push(ratio("our QEMU", medians[1]).with_target(Bound::AtMost(AS_FAST)));
    rows.push(ratio("our QEMU and guest", medians[2]));
    Ok(rows)
}

/// Measures removals without a guest for each size.
fn curve(stock: &Program, ours: &Program, say: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for lmbs in CURVE {
        say(&format!("removing a DIMM of {lmbs} LMBs without a guest, in turns"));
        let mut machines = [LargeDimm::start(stock, lmbs)?, LargeDimm::start(ours, lmbs)?];
        let mut took = [const { Vec::new() }; 2];
        for _ in 0..REMOVALS_PER_SIZE {
            for (machine, took) in iter::zip(&mut machines, &mut took) {
                took.push(machine.remove()?);
            }
        }
        let target = (lmbs >= THOUSANDS).then_some(Bound::AtMost(1.0));
        let what = format!("DIMM of {lmbs} LMBs, no guest");
        rows.extend(side_by_side(&format!("{what}, device_del answered"), &took, |took| took.asking, target)?);
        rows.extend(side_by_side(&format!("{what}, deleted"), &took, |took| took.asking + took.giving_back, target)?);
    }
    Ok(rows)
}

/// Compares a part of the durations of stock (first) and ours.
fn side_by_side(
    what: &str,
    took: &[Vec<Took>; 2],
    part: fn(&Took) -> Duration,
    target: Option<Bound>,
) -> Result<[Row; 3]> {
    let of = |took: &[Took]| {
        let milliseconds: Vec<f64> = took.iter().map(|took| part(took).as_secs_f64() * 1e3).collect();
        median(&milliseconds).context("nothing was measured")
    };
    let (stock, ours) = (of(&took[0])?, of(&took[1])?);
    let ratio = Row::new(format!("{what}, our QEMU over stock"), ours / stock, "times");
    Ok([
        Row::new(format!("{what}, stock QEMU"), stock, "ms, median"),
        Row::new(format!("{what}, our QEMU"), ours, "ms, median"),
        target.into_iter().fold(ratio, Row::with_target),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_on_our_qemu_are_compared_with_those_on_stock() {
        let latencies = [2.0, 2.2, 3.0].map(|median| Latencies { samples: vec![median, 9.0, 0.0] });
        let rows = guests("removal", &latencies).unwrap();
        let lines: Vec<_> = rows.iter().map(Row::line).collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[3].contains("1.10 times") && lines[3].ends_with("at most 1.05  MISSED"), "{}", lines[3]);
        assert!(lines[4].contains("1.50 times"), "{}", lines[4]);
        assert!(guests("removal", &[Latencies::default()]).is_err());
    }

    #[test]
    fn removals_without_a_guest_are_compared_by_their_medians() {
        let took = |milliseconds| Took { asking: Duration::from_millis(milliseconds), giving_back: Duration::ZERO };
        let all = [vec![took(4), took(1), took(9)], vec![took(2); 3]];
        let rows = side_by_side("DIMM", &all, |took| took.asking, Some(Bound::AtMost(1.0))).unwrap();
        assert!(rows[2].line().contains("0.50 times") && rows[2].is_met(), "{}", rows[2].line());
    }
}
