// SPDX-License-Identifier: MIT OR Apache-2.0

//! Arguments of `tar`, for unpacking as the calling user.

/// Returns the arguments by which `tar` unpacks all but the patterns `excluded`, whose `*` matches no slash.
pub(crate) fn arguments(excluded: &[&str]) -> Vec<String> {
    let flags = ["-x", "--no-same-owner", "--anchored", "--no-wildcards-match-slash"].map(str::to_owned);
    flags.into_iter().chain(excluded.iter().map(|pattern| format!("--exclude={pattern}"))).collect()
}
