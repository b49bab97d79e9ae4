// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running commands: on which machine, in which sandbox, with which log, and what a failure means.

pub(crate) mod apt;
pub(crate) mod diagnosis;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod mirror;
pub(crate) mod progress;
pub(crate) mod sandbox;
