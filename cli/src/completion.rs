// SPDX-License-Identifier: MIT OR Apache-2.0

//! Completion of command lines in a shell, with the devices of the VM that the command line names.

use crate::{
    arguments::{Arguments, Vm},
    endpoint::Endpoint,
    exit_status::ExitStatus,
    monitor::Monitor,
    notes::Notes,
};
use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::{CompleteEnv, CompletionCandidate, Shell, env::Shells};
use serde_json::{Value, json};
use std::{
    env,
    ffi::{OsStr, OsString},
    io::Write,
    time::{Duration, Instant},
};

/// Environment variable by which a shell asks for completions.
const VARIABLE: &str = "PAPR_UNPLUG_COMPLETE";

/// Name of the program.
const PROGRAM: &str = "papr-unplug";

/// Time after which a shell gets no devices: somebody waits at its prompt.
const PATIENCE: Duration = Duration::from_millis(800);

/// Prints a script by which a shell asks this program for completions.
pub fn script(shell: Shell, out: &mut dyn Write) -> Result<ExitStatus> {
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).context("this shell is not known")?;
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, out)?;
    Ok(ExitStatus::Done)
}

/// Answers a shell that asks for completions, and ends the program then.
pub fn answer() {
    CompleteEnv::with_factory(Arguments::command).var(VARIABLE).complete();
}

/// Returns the ids of the devices that were added to the VM and begin with `current`. If the VM cannot be asked, there
/// are none.
pub fn devices(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    let Some(endpoint) = endpoint(words) else { return Vec::new() };
    let ids = ids(&endpoint).unwrap_or_default();
    // The VM is not trusted, and bash does not quote.
    let fits = |id: &String| is_well_formed(id) && current.to_str().is_some_and(|current| id.starts_with(current));
    ids.into_iter().filter(fits).map(CompletionCandidate::new).collect()
}

/// Returns whether a user can give a device this id (QEMU `util/id.c`).
fn is_well_formed(id: &str) -> bool {
    id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.chars().all(|one| one.is_ascii_alphanumeric() || "-._".contains(one))
}

/// Returns the VM that a command line names, which may be incomplete.
fn endpoint(words: impl Iterator<Item = OsString>) -> Option<Endpoint> {
    let matches = Arguments::command().ignore_errors(true).try_get_matches_from(words).ok()?;
    let (_, matches) = matches.subcommand()?;
    Vm::from_arg_matches(matches).ok()?.endpoint().ok()
}

/// Asks a VM for the ids of the devices that were added with one.
fn ids(endpoint: &Endpoint) -> Result<Vec<String>> {
    let mut monitor = Monitor::greet(endpoint, &Notes::default(), Instant::now().checked_add(PATIENCE))?;
    let children = monitor.execute("qom-list", json!({ "path": "/machine/peripheral" }))??;
    let is_device = |child: &&Value| child["type"].as_str().is_some_and(|name| name.starts_with("child<"));
    let names = children.as_array().into_iter().flatten().filter(is_device);
    Ok(names.filter_map(|child| Some(child["name"].as_str()?.to_owned())).collect())
}
