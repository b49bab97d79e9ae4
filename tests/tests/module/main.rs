// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest module beyond the protocol: its output and its allocations, its loading and unloading, and its two builds.
//! None of these tests is about a clause.

mod allocation;
mod builds;
mod debugfs;
mod lifecycle;
mod loading;
mod user_space;
