// SPDX-License-Identifier: MIT OR Apache-2.0

//! `explain`: meaning of a reason.

use crate::{
    exit_status::ExitStatus,
    reason::{self, Reason},
};
use anyhow::{Context as _, Result};
use std::io::Write;

/// Explains one reason, or lists all.
pub fn run(name: Option<&str>, json: bool, out: &mut dyn Write) -> Result<ExitStatus> {
    let chosen: Vec<&Reason> = match name {
        Some(name) => vec![reason::find(name).with_context(|| format!("there is no reason {name}"))?],
        None => reason::all().iter().collect(),
    };
    for reason in chosen {
        if json {
            writeln!(out, "{}", serde_json::to_string(reason)?)?;
        } else if name.is_some() {
            write!(out, "{}", text(reason))?;
        } else {
            writeln!(out, "{:>2}  {:<21}  {}", reason.code, reason.name, reason.meaning)?;
        }
    }
    Ok(ExitStatus::Done)
}

fn text(reason: &Reason) -> String {
    let Reason { code, name, meaning, classes, errno, seen, advice, persistence } = reason;
    let mut text = format!("{name} (reason {code}, for {})\n", classes.join(", "));
    text += &format!("  meaning: {meaning}\n  what to do: {advice}\n");
    text += &format!("  ask again: {}\n", persistence.advice());
    if !errno.is_empty() {
        text += &format!("  errno on Linux: {}\n", errno.join(", "));
    }
    text += "  seen in Linux 7.3:\n";
    text + &seen.iter().map(|place| format!("    {place}\n")).collect::<String>()
}
