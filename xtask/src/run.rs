// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running commands: on which machine, in which sandbox, with which log, and what a failure means.

pub(crate) mod apt;
pub(crate) mod diagnosis;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod mirror;
pub(crate) mod progress;
pub(crate) mod sandbox;

pub(crate) use self::{
    apt::{Apt, newer_first},
    log::{Log, output_of},
    progress::{Progress, seconds},
    sandbox::{BUILD, SOURCE, Sandbox, WORK},
};
