// SPDX-License-Identifier: MIT OR Apache-2.0

//! Work of the fuzz targets; `census` repeats it with a corpus that they have left.
//!
//! [`calls`] are the words of one RTAS call, [`history`] is a whole life of a machine, compared with the [`oracle`]
//! that the tests use, [`stream`] is a migration stream, and a [`handle`] is what a VMM in C has. The [`census`] counts
//! what of the state machine a corpus reaches.

#![deny(unsafe_code)]

#[path = "../../tests/oracle/mod.rs"]
pub mod oracle;

pub mod many;

pub mod calls;

pub mod history;

pub mod stream;

pub mod handle;

pub mod census;
