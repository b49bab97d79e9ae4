// SPDX-License-Identifier: GPL-2.0-only

//! Messages for the kernel log.

use crate::entry;
use core::fmt::Arguments;

/// The level of a message.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// `KERN_ERR`
    Error,
    /// `KERN_WARNING`
    Warning,
    /// `KERN_NOTICE`
    Notice,
    /// `KERN_INFO`
    Info,
}

/// Logs a failure.
pub(crate) fn error(text: Arguments<'_>) {
    entry::log(Level::Error, text);
}

/// Logs a possible failure.
pub(crate) fn warn(text: Arguments<'_>) {
    entry::log(Level::Warning, text);
}

/// Logs a condition that costs something.
pub(crate) fn notice(text: Arguments<'_>) {
    entry::log(Level::Notice, text);
}

/// Logs an event.
pub(crate) fn info(text: Arguments<'_>) {
    entry::log(Level::Info, text);
}
