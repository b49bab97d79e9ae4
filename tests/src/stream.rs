// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams between a VMM and a test: the sockets, the lines that are read from them, and log files of both directions.

pub mod lines;
pub mod log_file;
pub mod socket;
