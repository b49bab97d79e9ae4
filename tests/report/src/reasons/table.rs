// SPDX-License-Identifier: MIT OR Apache-2.0

//! `docs/reasons.md`, the table of reasons.

use crate::reasons::absent;
use anyhow::{Context, Result};
use papr_unplug_tests::report::occurrence::Occurrence;
use serde::Deserialize;
use std::{fmt::Write as _, fs, path::Path};

const HEAD: &str = "\
<!-- SPDX-License-Identifier: MIT OR Apache-2.0 -->
<!-- Generated from tests/reasons.json by `cargo xtask reasons --accept`; do not edit. -->
# Every reason, provoked

Each row is a test that made a guest refuse, with the module, on QEMU with this project's patches, and found that the
host was told exactly this, once, about this request. (Of persistent memory this QEMU takes no reports: there the row says
what the module's list does.) `cargo xtask reasons` runs them all. What the reasons mean and what to do about them is in
[spec/reasons.toml](../spec/reasons.toml).

| provoked by | which is |
|---|---|
| as guests do | configuration, load, or what the guest's administrator does |
| the kernel's fault injection | failslab, memory-notifier-error-inject, `/sys/devices/system/cpu/cpuN/hotplug/fail` |
| a test's module does what others may | [papr_fault](../tests/guest/fault/papr_fault.c) does as a driver, or as firmware |
| a kernel function made to fail | papr_fault has that function return at once; the way from there is the kernel's own |
| the request made another VMM's | papr_fault changes the event before the kernel reads it, to what QEMU does not ask |

";

#[derive(Deserialize)]
struct Reasons {
    reason: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
}

/// Reads the names of all reasons, in the order of their codes.
pub(crate) fn reasons(checkout: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(checkout.join("spec/reasons.toml")).context("cannot read spec/reasons.toml")?;
    let reasons: Reasons = toml::from_str(&text).context("spec/reasons.toml is malformed")?;
    Ok(reasons.reason.into_iter().map(|entry| entry.name).collect())
}

/// Returns the table.
pub(crate) fn of(found: &[Occurrence], reasons: &[String]) -> String {
    let mut text = HEAD.to_owned()
        + "| reason | class | provoked by | how | test | kernel | the host was told |\n|---|---|---|---|---|---|---|\n";
    for reason in reasons {
        for Occurrence { class, means, how, test, kernel, told, .. } in found.iter().filter(|one| one.reason == *reason)
        {
            let _ = writeln!(text, "| {reason} | {class} | {means} | {how} | `{test}` | {kernel} | {told} |");
        }
    }
    text += "\nNot provoked:\n\n| reason | why |\n|---|---|\n";
    for reason in reasons.iter().filter(|reason| !found.iter().any(|one| one.reason == **reason)) {
        let _ = writeln!(text, "| {reason} | {} |", absent::why(reason).unwrap_or("**unknown**"));
    }
    text
}
