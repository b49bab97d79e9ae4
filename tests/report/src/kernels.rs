// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results of tests on distributions' kernels, and `docs/kernels.md`.

pub mod record;
mod table;

use crate::kernels::record::Record;
use anyhow::{Context as _, Result};
use papr_unplug_tests::report::survey::Survey;
use std::{fs, path::Path};

/// The results of this machine.
const RESULTS: &str = "target/kernels.json";
/// The accepted results, which docs/kernels.md is made of.
const ACCEPTED: &str = "tests/kernels.json";
/// The tables of the accepted results.
const PAGE: &str = "docs/kernels.md";

/// The tests that a kernel changes anything for: what becomes of each removal, with reports and without, and the
/// module's coming and going.
const RUN: &str = "(binary(conformance) & test(/^(armed|refusals)::/)) | (binary(module) & test(/^lifecycle::/))";
/// Tests among these that are run on no kernel, and why.
const LEFT_OUT: (&str, &str) = ("test(/module_loaded_and_unloaded/)", "200 loads and unloads, which take minutes");
/// Tests that fail with pages of 64 KiB, and why.
const LEFT_OUT_64K: (&str, &str) = (
    "test(/unmovable_pages/) | test(/two_dimms_asked_for_together/)",
    "with 64 KiB pages, tests whose memory is unmovable for the page structures in it: there are so few that the kernel finds \
     room for them elsewhere, and the memory can go",
);
/// Tests that need a tracepoint for RTAS calls, and why.
const LEFT_OUT_UNTRACED: (&str, &str) = (
    "test(/signalled_by_the_module|signals_the_next_refusal|signalled_on_the_one_that_is_busy/) | \
     test(/signalled_each_time|signalled_to_a_stock_vmm|reports_are_taken_from_each_processor/)",
    "before 6.3, tests that look at the very call by which the module signals at level 0: the kernel has no tracepoint for it, and \
     the tests' own probe is not run inside the module's",
);

/// Tests that fail where the kernel reports no refusal by itself, and why.
const LEFT_OUT_UNSIGNALLED: (&str, &str) = (
    "test(/by_the_kernel_alone|lets_the_kernel_signal|leaves_it_to_the_kernel/)",
    "before 5.13, tests in which the kernel tells a refusal by itself: it has no `dlpar_unisolate_drc` to do so",
);

/// Returns the filter by which nextest runs the tests on this kernel.
pub fn filter(survey: &Survey) -> String {
    let out: Vec<_> = left_out(survey).into_iter().map(|(tests, _)| tests).collect();
    format!("({RUN}) - ({})", out.join(" | "))
}

/// Returns the tests that are left out on this kernel.
fn left_out(survey: &Survey) -> Vec<(&'static str, &'static str)> {
    let mut out = vec![LEFT_OUT];
    out.extend((survey.page_kib == 64).then_some(LEFT_OUT_64K));
    out.extend((!survey.traces_rtas).then_some(LEFT_OUT_UNTRACED));
    let signals = survey.probed.iter().any(|name| name == "dlpar_unisolate_drc");
    out.extend((!signals).then_some(LEFT_OUT_UNSIGNALLED));
    out
}

/// Adds the results of a kernel to those of this machine.
pub fn add(checkout: &Path, record: Record) -> Result<()> {
    record::merge(&checkout.join(RESULTS), [record]).map(drop)
}

/// Prints the tables of this machine's results.
pub fn print(checkout: &Path) -> Result<()> {
    println!("{}", table::of(&record::read(&checkout.join(RESULTS))?));
    Ok(())
}

/// Takes this machine's results over into the repository. The results of other kernels are kept.
pub fn accept(checkout: &Path) -> Result<()> {
    let newer = record::read(&checkout.join(RESULTS))?;
    anyhow::ensure!(!newer.is_empty(), "there are no results: run `cargo xtask kernels` first");
    let records = record::merge(&checkout.join(ACCEPTED), newer)?;
    let page = checkout.join(PAGE);
    let text = fs::read_to_string(&page)?;
    fs::write(&page, table::placed(&text, &records)?).with_context(|| format!("cannot write {PAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_kernels_is_made_of_the_results() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let records = record::read(&checkout.join(ACCEPTED)).unwrap();
        let text = fs::read_to_string(checkout.join(PAGE)).unwrap();
        assert!(!records.is_empty());
        assert_eq!(table::placed(&text, &records).unwrap(), text, "run `cargo xtask kernels --accept`");
    }
}
