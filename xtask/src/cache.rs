// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cache of artifacts, with a record of what each was made from and what it consists of.

pub(crate) mod manifest;
pub(crate) mod recipe;
pub(crate) mod store;

pub(crate) use self::{
    manifest::{Inputs, Made, sha256_of},
    recipe::{Artifact, Recipe, Work},
    store::Store,
};
