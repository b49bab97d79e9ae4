// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stories: tests that boot a VM and end with an inspection of the guest's kernel.

mod run;
pub mod scenario;

pub use run::{story, story_on};
