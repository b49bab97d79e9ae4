// SPDX-License-Identifier: MIT OR Apache-2.0

//! An independent opinion about every call: the reference VMM of `spec/model`, and the crate beside it.
//!
//! An [`action`] happens to the machine of [`machine`]; the [`expected`] answer is the reference's, and the [`subject`]
//! is the crate, which has to agree in every status, every event and all that it shows. The state machine test, the
//! exhaustive tests and the fuzz targets use them. [`host`] plugs the crate into the model.

#![expect(missing_docs, reason = "the names are the documents', where the explanations stand")]

pub mod machine;

pub mod action;

pub mod expected;
pub mod stream;

pub mod subject;

pub mod host;
