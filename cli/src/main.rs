// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entry point of `papr-unplug`; the library has the rest.

#![forbid(unsafe_code)]

use clap::Parser as _;
use papr_unplug_cli::{arguments::Arguments, completion, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    completion::answer();
    run(Arguments::parse())
}
