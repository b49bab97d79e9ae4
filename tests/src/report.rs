// SPDX-License-Identifier: MIT OR Apache-2.0

//! Results that `cargo xtask` makes tables of.

pub mod combination;
pub mod cost;
pub mod demo;
pub mod median;
pub mod occurrence;
pub mod survey;
