// SPDX-License-Identifier: MIT OR Apache-2.0

//! An independent opinion about every call: a naive VMM written from the text alone, and the crate beside it.
//!
//! [`action`] is what can happen to the machine of [`machine`]; the [`reference`] says what has to come out, and the
//! [`subject`] is the crate, which has to agree in every status, every event and all that it shows. The state machine test,
//! the exhaustive tests and the fuzz targets all use them.

#![expect(missing_docs, reason = "the names are the documents', where the explanations stand")]

pub mod machine;

pub mod action;

pub mod lopar;
pub mod reference;
pub mod stream;

pub mod subject;
