// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask coverage`: lines of the host crate that its own tests run.

use crate::{
    cache::store::Store,
    roots::root::{BUILD_ROOT, Root},
    run::{log::output_of, sandbox::WORK},
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The package whose tests run, and the sources whose lines are counted.
const PACKAGE: &str = "papr-unplug";
const SOURCES: &str = "host-vmm/src/";

/// The least percentage of lines that tests must run.
const PERCENT: f64 = 95.0;

/// The numbers of lines of one file, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LineCounts {
    all: u64,
    run: u64,
}

impl LineCounts {
    fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { 100.0 * self.run as f64 / self.all as f64 }
    }
}

/// Runs the tests, and prints a line for each file.
pub(crate) fn run(store: &Store) -> Result<()> {
    let root = store.ensure(&BUILD_ROOT)?;
    let directory = store.settings.checkout.join("target/coverage");
    let raw = directory.join("raw");
    if raw.exists() {
        fs::remove_dir_all(&raw).with_context(|| format!("cannot remove {}", raw.display()))?;
    }
    let mut log = store.log("coverage")?;
    // Instrumented build scripts would write their profiles into the checkout.
    let cargo = || {
        let mut cargo = cargo(store, &directory);
        cargo.env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"));
        cargo
    };
    log.run("running the tests", &mut cargo())?;
    let messages = output_of(cargo().args(["--no-run", "--quiet", "--message-format=json"]))?;
    let programs: BTreeSet<PathBuf> = messages.lines().filter_map(executable).collect();
    ensure!(!programs.is_empty(), "cargo prints no path of the tests");

    let sandbox = Root::sandbox(&root).bind(&directory, WORK);
    let inside = |path: &Path| Ok::<_, anyhow::Error>(format!("{WORK}/{}", path.strip_prefix(&directory)?.display()));
    let mut merge = vec!["llvm-profdata".to_owned(), "merge".into(), "-sparse".into()];
    for file in fs::read_dir(&raw).context("the tests have left no profiles")? {
        merge.push(inside(&file?.path())?);
    }
    merge.extend(["-o".to_owned(), format!("{WORK}/merged.profdata")]);
    log.run("merging the profiles", &mut sandbox.command(merge)).context(
        "the LLVM of the build root cannot read the profiles of this compiler; an older one (from 1.95 on) writes others",
    )?;
    let mut export = vec!["llvm-cov".to_owned(), "export".into(), "-summary-only".into()];
    export.push(format!("-instr-profile={WORK}/merged.profdata"));
    for program in &programs {
        export.extend(["-object".to_owned(), inside(program)?]);
    }
    let summary: Value = serde_json::from_str(&output_of(&mut sandbox.command(export))?)?;
    print(&summary)
}

/// `cargo test` with counters in everything it builds.
fn cargo(store: &Store, directory: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Cinstrument-coverage").current_dir(&store.settings.checkout);
    cargo.args(["test", "--tests", "--package", PACKAGE, "--target-dir"]).arg(directory);
    cargo
}

/// Returns the path of a test, if this message of cargo has it.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["profile"]["test"] == true;
    is_test.then(|| message["executable"].as_str().map(PathBuf::from))?
}

/// Reads the lines of each file of the crate from the output of `llvm-cov export`.
fn files(summary: &Value) -> Vec<(String, LineCounts)> {
    let lines = |file: &Value| {
        let (_, name) = file["filename"].as_str()?.split_once(SOURCES)?;
        let count = |key: &str| file["summary"]["lines"][key].as_u64();
        Some((name.to_owned(), LineCounts { all: count("count")?, run: count("covered")? }))
    };
    summary["data"][0]["files"].as_array().into_iter().flatten().filter_map(lines).collect()
}

/// Prints the lines of each file.
fn print(summary: &Value) -> Result<()> {
    let mut all = LineCounts::default();
    for (name, lines) in files(summary) {
        println!("{name:<24} {:>5} of {:>5} lines  {:>5.1} %", lines.run, lines.all, lines.percent());
        all = LineCounts { all: all.all + lines.all, run: all.run + lines.run };
    }
    println!("{:<24} {:>5} of {:>5} lines  {:>5.1} %", "all", all.run, all.all, all.percent());
    ensure!(all.all > 0, "no line of {SOURCES} was seen");
    ensure!(all.percent() > PERCENT, "tests must run more than {PERCENT} % of the lines");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_are_those_of_the_crate() {
        let of = |name: &str| json!({"filename": name, "summary": {"lines": {"count": 10, "covered": 9}}});
        let summary =
            json!({"data": [{"files": [of("/a/host-vmm/src/tracker/ledger.rs"), of("/a/host-vmm/tests/x.rs")]}]});
        assert_eq!(files(&summary), [("tracker/ledger.rs".to_owned(), LineCounts { all: 10, run: 9 })]);
        assert!(print(&summary).is_err());
    }

    #[test]
    fn no_lines_are_no_evidence() {
        assert!(print(&json!({"data": [{"files": []}]})).is_err());
    }
}
