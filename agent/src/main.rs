// SPDX-License-Identifier: MIT OR Apache-2.0

//! Agent of a pseries guest: gives PCI devices back when the hypervisor asks for them, or says why it keeps them.
//!
//! The kernel leaves requests for PCI devices to user space. Run as `papr-unplug-agent`, the program reads the log of
//! RTAS events and handles each request in a process of its own. Run under the name `drmgr`, it handles one request,
//! as `rtas_errd` asks for it. In neither case does it promise anything to the hypervisor (ARM): a promise is the
//! kernel's, which outlives every process.

#![deny(unsafe_op_in_unsafe_fn)]

mod claim;
mod command_line;
mod configuration;
mod event;
mod function;
mod journal;
mod kernel;
mod lock;
mod reader;
mod removal;
mod report;
mod request;
mod rtas;
mod usage;

use configuration::Configuration;
use kernel::Kernel;
use std::{env, ffi::OsStr, path::Path, process::ExitCode};

/// The configuration file.
const CONFIGURATION: &str = "/etc/papr-unplug/agent.toml";

fn main() -> ExitCode {
    let configuration = Configuration::read(Path::new(CONFIGURATION)).unwrap_or_else(|error| {
        journal::error(&format!("{CONFIGURATION} is not read, and the defaults hold: {error:#}"));
        Configuration::default()
    });
    let kernel = Kernel::running();
    let mut words = env::args_os();
    let name = words.next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new("drmgr")) {
        return request::handle(&kernel, &configuration, words.collect());
    }
    match words.next().as_deref().and_then(OsStr::to_str) {
        None => reader::run(&kernel),
        Some("--version") => {
            println!("papr-unplug-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(_) => {
            eprintln!("usage: papr-unplug-agent [--version]\nSee papr-unplug-agent(8).");
            ExitCode::from(2)
        }
    }
}
