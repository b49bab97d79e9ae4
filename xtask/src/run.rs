// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long work: how a step is run and logged, how far it is, and what its failure means.

pub(crate) mod diagnosis;
pub(crate) mod progress;
pub(crate) mod step;
