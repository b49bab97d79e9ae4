// SPDX-License-Identifier: MIT OR Apache-2.0

//! Test in a VM: boots, tells the story, and inspects the guest's kernel at the end, so that no test can forget to.

use crate::{
    artifacts::Artifacts,
    pairing::Pairing,
    vm::{self, Vm},
    vmm::{machine::Machine, qemu::Start},
};
use anyhow::Result;
use std::{any::type_name, fs, path::Path};

/// Number of lines of each log in the message of a failure.
const TAIL: usize = 15;

/// Boots a VM of this pairing, tells the story, and inspects the guest ([`Vm::inspect`]).
///
/// Logs go to `target/vm/NAME`, where NAME is the path of the function that holds the closure: the test.
///
/// # Panics
///
/// If anything fails. The message ends with the last lines of each log.
pub fn story<F>(pairing: Pairing, tell: F)
where
    F: FnOnce(&mut Vm) -> Result<()>,
{
    story_on(pairing, Machine::Pseries, &Start::default(), tell);
}

/// Like [`story`], with this machine and these options.
///
/// # Panics
///
/// As [`story`] does.
pub fn story_on<F>(pairing: Pairing, machine: Machine, start: &Start, tell: F)
where
    F: FnOnce(&mut Vm) -> Result<()>,
{
    let name = type_name::<F>().trim_end_matches("::{{closure}}").replace("::", ".");
    let artifacts = Artifacts::find().unwrap_or_else(|error| panic!("{error:#}"));
    let logs = vm::logs(&name);
    println!("logs: {}", logs.display());
    let run = || {
        let mut vm = Vm::launch_as(&artifacts, pairing, machine, start, &name)?.up()?;
        tell(&mut vm)?;
        vm.inspect()
    };
    if let Err(error) = run() {
        panic!("{error:#}\n\n{}", tails(&logs));
    }
}

/// Returns the last lines of each log in a directory.
fn tails(logs: &Path) -> String {
    let tail = |name: &str| {
        let text = fs::read(logs.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
        format!("--- the last of {}\n{}\n", logs.join(name).display(), last.join("\n"))
    };
    ["qemu.log", "console.log", "shell.log", "qmp.log"].map(tail).concat()
}
