// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results of demonstrations, tests and measurements, as JSON and as tables for people.
//!
//! `cargo xtask` runs them. Where results are kept in the repository, `accept` takes over those of the last run, and a
//! test compares the page with what the results give.

#![forbid(unsafe_code)]

pub mod bench;
pub mod demo;
pub mod differences;
pub mod kernels;
pub mod reasons;

mod markdown;
