// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cache of artifacts, with a record of what each was made from and what it consists of.

pub(crate) mod artifact;
pub(crate) mod artifact_dir;
pub(crate) mod manifest;
pub(crate) mod store;

pub(crate) use self::{
    artifact::{Artifact, Parts},
    manifest::{Inputs, Made, sha256_of},
    store::{Recipe, Store},
};
