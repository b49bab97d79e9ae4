// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines in the journal.

/// Writes a line about something that went wrong.
pub(crate) fn error(text: &str) {
    line(3, text);
}

/// Writes a line about a request that was refused.
pub(crate) fn notice(text: &str) {
    line(5, text);
}

/// Writes a line about a request that was carried out.
pub(crate) fn info(text: &str) {
    line(6, text);
}

/// Writes a line with its priority before it, as systemd takes it from the standard error of a service.
fn line(priority: u8, text: &str) {
    eprintln!("<{priority}>{text}");
}
