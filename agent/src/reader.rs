// SPDX-License-Identifier: MIT OR Apache-2.0

//! Handling of all events of the log.

use crate::{command_line::CommandLine, event::HotplugEvent, journal, kernel::Kernel, report};
use anyhow::{Context as _, Result, bail};
use std::{
    fs::File,
    io::Read as _,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

/// The log of RTAS events, below `/proc`.
const LOG: &str = "powerpc/rtas/error_log";

/// The size of the largest event (`RTAS_ERROR_LOG_MAX` of Linux) and of the number before it.
const LARGEST: usize = 4 + 2048;

/// Handles all events of the log, one after the other. Does not return before reading fails.
pub(crate) fn run(kernel: &Kernel) -> ExitCode {
    match read(kernel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            journal::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn read(kernel: &Kernel) -> Result<()> {
    let mut log = File::open(kernel.proc(LOG)).context("cannot open the log of RTAS events")?;
    let mut record = [0; LARGEST];
    loop {
        let size = log.read(&mut record).context("cannot read the log of RTAS events")?;
        if size == 0 {
            bail!("the log of RTAS events has ended");
        }
        match HotplugEvent::from_log(record.get(..size).unwrap_or_default()) {
            Some(event) => handle(&event),
            None => journal::info("an RTAS event that is no hot plug event was left alone"),
        }
    }
}

/// Handles an event in a process of its own, and waits for its end: by that the kernel's module knows that the request
/// is over.
fn handle(event: &HotplugEvent) {
    let Some(line) = CommandLine::of(&event.request) else {
        return journal::info("a hot plug event that asks for nothing this program knows was left alone");
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg0("drmgr").args(&line.words).env(report::TOKEN, event.token.0.to_string());
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => journal::info(&format!("{}: {status}", line.connector.unwrap_or_default())),
        Err(error) => journal::error(&format!("cannot handle a request: {error}")),
    }
}
