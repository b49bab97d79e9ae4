// SPDX-License-Identifier: MIT OR Apache-2.0

//! The functions of the C ABI do what the header says. What they decide is tested with the crate that decides it.

// UNSAFETY: the functions are called as C calls them.
#![expect(unsafe_code, reason = "the functions are called as C calls them")]

mod machine;

mod absence;
mod answers;
mod texts;

mod imports;
mod saves;
