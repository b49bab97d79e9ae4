// SPDX-License-Identifier: MIT OR Apache-2.0

//! Observations of a guest's kernel: its trace, its log, its checkers, and the files of its modules.

pub mod frames;
pub mod inspection;
pub mod kernel_log;
pub mod modinfo;
pub mod trace;
