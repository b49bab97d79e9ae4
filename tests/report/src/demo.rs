// SPDX-License-Identifier: MIT OR Apache-2.0

//! Demonstration: what the host is told in every scenario and pairing.

use anyhow::{Context, Result, ensure};
use papr_unplug_tests::{
    artifacts::target,
    pairing::Side,
    removal::Outcome,
    report::{
        combination::Combination,
        demo::{self, ROUNDS, Row},
    },
    story::scenario::Scenario,
    vm,
};
use std::{collections::BTreeMap, fmt::Write as _, fs};

/// Plays scenarios, prints a table, and writes the rows to this file in `target`.
pub fn run(combinations: &[Combination<'_>], scenarios: &[Scenario], file: &str, say: &dyn Fn(&str)) -> Result<()> {
    let rows = demo::play(combinations, scenarios, ROUNDS, say)?;
    let file = target().join(file);
    fs::write(&file, serde_json::to_string_pretty(&rows)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    print!("{}", rendered(&rows));
    println!("\nThe same for programs: {}", file.display());
    let crashed = rows.iter().any(|row| row.outcome == Outcome::GuestCrashed);
    ensure!(!crashed, "a guest's kernel crashed; its last words are in {}", vm::logs("demo.*/console.log").display());
    Ok(())
}

/// Returns the rows as a table, followed by the notes that apply.
fn rendered(rows: &[Row]) -> String {
    let mut text = String::from("\n");
    let mut line = |cells: [&str; 9]| {
        let [asked, guest, vmm, told, after, events, reason, place, retry] = cells;
        let line = format!(
            "{asked:<31} {guest:<12} {vmm:<12} {told:<14} {after:>9}  {events:>6}  {reason:<12}  {place:<10}  {retry}"
        );
        text += line.trim_end();
        text.push('\n');
    };
    line(["the host asks for", "guest", "VMM", "and is told", "after", "events", "reason", "where", "retry"]);
    let mut before = None;
    for row in rows {
        let again = before.replace(row.scenario) == Some(row.scenario);
        line([
            if again { "" } else { row.scenario.requested() },
            &row.name_of_guest(),
            &row.vmm.to_string(),
            told(row.outcome),
            &row.latency_ms.map_or_else(String::new, |latency| format!("{latency:.2} ms")),
            &row.events.to_string(),
            row.reason.as_deref().unwrap_or_default(),
            row.connector.as_deref().unwrap_or_default(),
            &row.retry.map_or_else(String::new, |retry| retry.to_string()),
        ]);
    }
    for note in [ratio(rows), place(rows), silence(rows), twice(rows), torn(rows)].into_iter().flatten() {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

fn told(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Refused => "refused",
        Outcome::Released => "released",
        Outcome::Silent => "nothing, ever",
        Outcome::VmmAborted => "the VMM died",
        Outcome::GuestCrashed => "guest crashed",
    }
}

/// Compares the latency of the refusal that a stock guest reports, too, with that of our parts.
fn ratio(rows: &[Row]) -> Option<String> {
    let is_cpu = |row: &&Row| row.scenario == Scenario::CpuLastOnline;
    let is_stock = |row: &&Row| (row.guest, row.kernel, row.vmm) == (Side::Stock, None, Side::Stock);
    let cpu: Vec<&Row> = rows.iter().filter(is_cpu).collect();
    let stock = cpu.iter().copied().find(|row| is_stock(row))?;
    let against = |row: &Row| {
        let ratio = row.latency_ms? / stock.latency_ms?;
        Some(format!("{ratio:.2} with {}", ours(row)))
    };
    let ratios: Vec<String> = cpu.iter().filter(|row| !is_stock(row)).filter_map(|row| against(row)).collect();
    (!ratios.is_empty()).then(|| {
        let samples = stock.latency_samples_ms.len();
        let ratios = ratios.join(", ");
        format!("The last online CPU, in times of stock parts (medians of {samples} each, taken in turns): {ratios}.")
    })
}

fn ours(row: &Row) -> &'static str {
    match (row.guest == Side::Ours || row.kernel.is_some(), row.vmm) {
        (false, Side::Stock) => "nothing of ours",
        (true, Side::Stock) => "our guest",
        (false, Side::Ours) => "our VMM",
        (true, Side::Ours) => "both",
    }
}

fn place(rows: &[Row]) -> Option<String> {
    let lmb = |row: &Row| Some((row.connector.clone()?, row.address.clone()?));
    let lmbs: BTreeMap<String, String> = rows.iter().filter_map(lmb).collect();
    let lmbs: Vec<String> = lmbs.iter().map(|(connector, address)| format!("{connector} at {address}")).collect();
    let lmbs = lmbs.join(", ");
    (!lmbs.is_empty()).then(|| format!("Where: the connector that refused; of a DIMM, one LMB's ({lmbs})."))
}

fn silence(rows: &[Row]) -> Option<String> {
    rows.iter().any(|row| row.outcome == Outcome::Silent).then(|| {
        "Nothing, ever: the guest had ended its attempt and answered once more, then the VMM had answered, \
         and no event was among all that."
            .into()
    })
}

fn twice(rows: &[Row]) -> Option<String> {
    let doubled = |row: &Row| row.outcome == Outcome::Refused && row.events == 2 && row.vmm == Side::Stock;
    rows.iter()
        .any(doubled)
        .then(|| "Two events: stock QEMU says it twice when a guest signals once for a DIMM.".into())
}

fn torn(rows: &[Row]) -> Option<String> {
    let is_torn = |row: &Row| row.scenario == Scenario::DiskMounted && row.outcome == Outcome::Released;
    rows.iter()
        .any(is_torn)
        .then(|| "A mounted disk that was released is torn out: its file can no longer be read.".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use papr_unplug_tests::removal::Retry;

    fn row(scenario: Scenario, guest: Side, outcome: Outcome, events: usize, latency_ms: Option<f64>) -> Row {
        let retry = match outcome {
            Outcome::Refused => Some(Retry::Accepted),
            Outcome::Silent => Some(Retry::Rejected),
            Outcome::Released | Outcome::VmmAborted | Outcome::GuestCrashed => None,
        };
        let latency_samples_ms = latency_ms.into_iter().collect();
        Row {
            scenario,
            guest,
            kernel: None,
            vmm: Side::Stock,
            outcome,
            events,
            reason: None,
            connector: None,
            address: None,
            latency_ms,
            latency_samples_ms,
            retry,
        }
    }

    #[test]
    fn table_names_what_is_asked_once_and_ends_with_the_notes_that_apply() {
        let rows = [
            row(Scenario::CpuLastOnline, Side::Stock, Outcome::Refused, 1, Some(2.0)),
            row(Scenario::CpuLastOnline, Side::Ours, Outcome::Refused, 1, Some(2.1)),
            row(Scenario::DimmFirstLmbBusy, Side::Stock, Outcome::Silent, 0, None),
            row(Scenario::DimmFirstLmbBusy, Side::Ours, Outcome::Refused, 2, Some(31.25)),
            Row {
                reason: Some("memory-veto".to_owned()),
                connector: Some("0x80000009".to_owned()),
                address: Some("0x90000000".to_owned()),
                vmm: Side::Ours,
                ..row(Scenario::DimmFirstLmbBusy, Side::Ours, Outcome::Refused, 1, Some(9.0))
            },
            row(Scenario::DimmRemovable, Side::Ours, Outcome::Released, 1, Some(100.0)),
        ];
        let expected = "
the host asks for               guest        VMM          and is told        after  events  reason        where       retry
the last online CPU             stock        stock        refused          2.00 ms       1                            accepted
                                papr-unplug  stock        refused          2.10 ms       1                            accepted
a DIMM whose first LMB is busy  stock        stock        nothing, ever                  0                            rejected
                                papr-unplug  stock        refused         31.25 ms       2                            accepted
                                papr-unplug  papr-unplug  refused          9.00 ms       1  memory-veto   0x80000009  accepted
a DIMM that can go              papr-unplug  stock        released       100.00 ms       1

The last online CPU, in times of stock parts (medians of 1 each, taken in turns): 1.05 with our guest.

Where: the connector that refused; of a DIMM, one LMB's (0x80000009 at 0x90000000).

Nothing, ever: the guest had ended its attempt and answered once more, then the VMM had answered, and no event was among all that.

Two events: stock QEMU says it twice when a guest signals once for a DIMM.
";
        assert_eq!(rendered(&rows), expected);
    }

    #[test]
    fn guests_of_another_kernel_have_its_name_and_are_compared_with_stock_ones() {
        let stock = row(Scenario::CpuLastOnline, Side::Stock, Outcome::Refused, 1, Some(2.0));
        let other = Row { kernel: Some("hints"), latency_ms: Some(2.02), ..stock.clone() };
        assert_eq!(serde_json::to_value(&other).unwrap()["kernel"], "hints");
        let expected = "
the host asks for               guest        VMM          and is told        after  events  reason        where       retry
the last online CPU             stock        stock        refused          2.00 ms       1                            accepted
                                hints        stock        refused          2.02 ms       1                            accepted

The last online CPU, in times of stock parts (medians of 1 each, taken in turns): 1.01 with our guest.
";
        assert_eq!(rendered(&[stock, other]), expected);
    }

    #[test]
    fn json_has_the_members_that_are_promised() {
        let row = row(Scenario::DimmFirstLmbBusy, Side::Stock, Outcome::Silent, 0, None);
        let expected = serde_json::json!({
            "scenario": "dimm-first-lmb-busy", "guest": "stock", "vmm": "stock", "outcome": "silent", "events": 0,
            "reason": null, "connector": null, "address": null, "latency_ms": null, "latency_samples_ms": [], "retry": "rejected",
        });
        assert_eq!(serde_json::to_value(row).unwrap(), expected);
    }
}
