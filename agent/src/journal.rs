// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines in the journal.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
};

/// Standard error of this process.
const STANDARD_ERROR: &str = "/proc/self/fd/2";

/// The kernel's log. Each write is a line of it.
const KERNEL_LOG: &str = "/dev/kmsg";

/// Length of the longest line in bytes that the kernel's log takes (`PRINTKRB_RECORD_MAX` of Linux).
const LONGEST: usize = 1024;

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
///
/// `rtas_errd` has no standard error, and neither have the programs that it starts: what they say goes to the kernel's
/// log. A line that cannot be written is lost, and the request is handled all the same.
fn line(priority: u8, text: &str) {
    if !(is_null(STANDARD_ERROR) && to_kernel(priority, text).is_ok()) {
        let _ = writeln!(io::stderr(), "<{priority}>{text}");
    }
}

fn to_kernel(priority: u8, text: &str) -> io::Result<()> {
    let mut line = format!("<{priority}>papr-unplug-agent: {text}");
    line.truncate(line.floor_char_boundary(LONGEST));
    File::options().write(true).open(KERNEL_LOG)?.write_all(line.as_bytes())
}

/// Returns whether a file is the null device.
fn is_null(file: &str) -> bool {
    let device = |path| fs::metadata(path).map(|metadata| metadata.rdev()).ok();
    device(file).is_some_and(|number| Some(number) == device("/dev/null"))
}
