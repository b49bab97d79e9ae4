// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reasons that were not provoked, and why.

/// Returns why this reason cannot be triggered, if it cannot.
pub(crate) fn why(reason: &str) -> Option<&'static str> {
    let why = match reason {
        "going-down" => "the module withdraws its promise before a reboot or kexec; for other software that reports",
        "extended" => "no reason is defined behind it yet",
        _ => return None,
    };
    Some(why)
}
