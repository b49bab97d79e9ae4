// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams between a VMM and a test: sockets, the lines that are read from them, and log files.

pub mod lines;
pub mod log_file;
pub mod socket;
