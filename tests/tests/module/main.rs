// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest module beyond the protocol: what it says and allocates, how it is loaded and unloaded, and its two builds. None of
//! these tests is about a clause.

mod allocation;
mod builds;
mod debugfs;
mod lifecycle;
mod loading;
