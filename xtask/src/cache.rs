// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache: where artifacts are kept, what they are made of, and that they are whole.

pub(crate) mod artifact_dir;
pub(crate) mod manifest;
pub(crate) mod store;
