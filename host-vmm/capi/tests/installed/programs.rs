// SPDX-License-Identifier: MIT OR Apache-2.0

//! C programs that are built against the library, run as they are, under valgrind, and with GCC's sanitizers.

use crate::prefix::{Prefix, run, tool};
use std::{
    path::Path,
    process::{Command, Output},
};

const EXAMPLE: &str = "examples/refused_dimm.c";
/// Gives every function nothing.
const NOTHING: &str = "tests/programs/nothing.c";
/// Does not free its machine.
const FORGETFUL: &str = "tests/programs/forgetful.c";

const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

const TOLD: &str = "\
the guest arms: 0
request 1 goes to the guest, in 24 bytes with token 1
the guest answers: 0
request 1 to remove memory 0x80000008 to 0x80000009: the guest refused at connector 0x80000009: unmovable-page (errno 16). \
A page in the memory block cannot be moved away. Online hot-added memory as movable (auto_online_blocks=online_movable), \
or retry when whoever pins the page has gone.
";

fn valgrind(program: &Path) -> Command {
    let mut valgrind = tool("valgrind", "valgrind");
    valgrind.args(["--quiet", "--leak-check=full", "--show-leak-kinds=all", "--error-exitcode=99"]).arg(program);
    valgrind
}

fn failed(output: Output, why: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains(why), "{}\n{errors}", output.status);
}

#[test]
fn example_tells_why_the_dimm_was_refused_linked_either_way() {
    let shared = Prefix::install();
    let alone = Prefix::install_static();
    let programs = [&shared, &alone].map(|prefix| prefix.compile(EXAMPLE, &[]));
    assert_eq!(programs.map(|program| run(&mut Command::new(program))), [TOLD; 2]);
}

#[test]
fn example_is_clean_under_valgrind() {
    let prefix = Prefix::install();
    assert_eq!(run(&mut valgrind(&prefix.compile(EXAMPLE, &[]))), TOLD);
}

#[test]
fn example_is_clean_under_sanitizers() {
    let prefix = Prefix::install_static();
    assert_eq!(run(&mut Command::new(prefix.compile(EXAMPLE, &SANITIZERS))), TOLD);
}

#[test]
fn nothing_is_taken_cleanly_by_every_function() {
    let prefix = Prefix::install_static();
    assert_eq!(run(&mut valgrind(&prefix.compile(NOTHING, &[]))), "");
    assert_eq!(run(&mut Command::new(prefix.compile(NOTHING, &SANITIZERS))), "");
}

/// The leak checkers of the other tests find a leak.
#[test]
fn machine_that_is_not_freed_is_found_by_valgrind_and_by_sanitizers() {
    let prefix = Prefix::install();
    let forgetful = prefix.compile(FORGETFUL, &[]);
    failed(valgrind(&forgetful).output().unwrap(), "papr_unplug_new");
    let forgetful = prefix.compile(FORGETFUL, &SANITIZERS);
    failed(Command::new(forgetful).output().unwrap(), "LeakSanitizer");
}
