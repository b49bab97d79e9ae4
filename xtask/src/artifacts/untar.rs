// SPDX-License-Identifier: MIT OR Apache-2.0
//! How archives are unpacked: as the calling user, and without what nobody reads.

/// The arguments that make `tar` unpack all but `excluded`, whose `*` stops at a slash.
pub(crate) fn arguments(excluded: &[&str]) -> Vec<String> {
    let flags = ["-x", "--no-same-owner", "--anchored", "--no-wildcards-match-slash"].map(str::to_owned);
    flags.into_iter().chain(excluded.iter().map(|pattern| format!("--exclude={pattern}"))).collect()
}
