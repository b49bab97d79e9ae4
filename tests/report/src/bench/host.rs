// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cost of the host crate, compared with its targets and with stock QEMU.
//!
//! callgrind counts instructions. Their number does not depend on what else the machine does.

use crate::bench::table::{self, Bound, Row};
use anyhow::{Context as _, Result, bail, ensure};
use papr_unplug_differential::instructions;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The package, its bench whose instructions are counted, and its bench that is timed.
const PACKAGE: &str = "papr-unplug";
const COUNTED: &str = "instructions";
const TIMED: &str = "wall";

/// The numbers of connectors, for each of which a call must cost the same.
const CONNECTORS: [u32; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// The sizes of the DIMMs that are released, in LMBs.
const LMBS: [u32; 5] = [1, 16, 256, 4_096, 65_536];

/// Measures, prints the table, and writes it to `file`. Fails if a target is missed. `stock` counts the instructions of
/// a set-indicator call of stock QEMU.
pub fn run(stock: impl FnOnce() -> Result<f64>, file: &Path) -> Result<()> {
    let program = Program::build()?;
    let mut rows = Vec::new();
    rows.extend(program.calls()?);
    rows.extend(program.releases()?);
    rows.extend(program.creations()?);
    rows.extend(program.beside_qemu(stock()?)?);
    table::print(&rows, file)?;

    let mut timed = cargo_bench(TIMED);
    timed.arg("--");
    timed.args(["--noplot", "--warm-up-time", "0.5", "--measurement-time", "1", "--sample-size", "10"]);
    ensure!(timed.status().context("cannot run cargo")?.success(), "`cargo bench` failed");
    table::check(&rows)
}

fn cargo_bench(name: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["bench", "--package", PACKAGE, "--bench", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

/// The executable of the bench whose instructions are counted.
#[derive(Debug)]
struct Program(PathBuf);

/// The output of one run.
#[derive(Debug)]
struct Measurement {
    times: f64,
    nanoseconds: f64,
    bytes: f64,
}

impl Program {
    fn build() -> Result<Self> {
        let mut build = cargo_bench(COUNTED);
        let messages = output_of(build.args(["--no-run", "--message-format=json-render-diagnostics"]))?;
        let program = messages.lines().filter_map(|line| executable(line, COUNTED)).next_back();
        Ok(Self(program.context("cargo prints no path of the bench")?))
    }

    fn run(&self, scenario: &str, size: u32) -> Result<Measurement> {
        parse(&output_of(Command::new(&self.0).args([scenario, &size.to_string()]))?)
    }

    /// Returns the instructions that one repetition of `scenario` takes.
    fn count(&self, scenario: &str, size: u32) -> Result<f64> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("counted");
        let mut valgrind = Command::new("valgrind");
        // Patterns match the function under each scheme of name mangling.
        valgrind.args(["--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"]);
        valgrind.arg(format!("--callgrind-out-file={}", file.display()));
        let measured = parse(&output_of(valgrind.arg(&self.0).args([scenario, &size.to_string()]))?)?;
        let total = instructions::total(&fs::read_to_string(file)?).context("callgrind printed no totals")?;
        ensure!(total > 0, "callgrind has counted no instruction of the function to measure");
        Ok(total as f64 / measured.times)
    }

    fn calls(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (scenario, what) in
            [("null", "null transition"), ("move", "transition"), ("report", "report about nothing, ARM")]
        {
            let counts = CONNECTORS.map(|size| Ok((size, self.count(scenario, size)?)));
            let counts = counts.into_iter().collect::<Result<Vec<(u32, f64)>>>()?;
            for (size, count) in &counts {
                rows.push(Row::new(format!("set-indicator, {what}, {size} connectors"), *count, "instructions"));
            }
            let spread = spread(counts.iter().map(|(_, count)| *count));
            let what = format!("set-indicator, {what}, dearest over cheapest");
            rows.push(Row::new(what, spread, "times").with_target(Bound::AtMost(1.2)));
        }
        Ok(rows)
    }

    fn releases(&self) -> Result<Vec<Row>> {
        let counts = LMBS.map(|size| Ok((size, self.count("release", size)?)));
        let counts = counts.into_iter().collect::<Result<Vec<(u32, f64)>>>()?;
        let row = |(size, count): &(u32, f64)| {
            Row::new(format!("request and release of a DIMM, {size} LMBs"), *count, "instructions for an LMB")
        };
        let mut rows: Vec<_> = counts.iter().map(row).collect();
        // With many LMBs the cost of the request itself does not matter.
        let spread = spread(counts.iter().filter(|(size, _)| *size >= 256).map(|(_, count)| *count));
        let what = "request and release of a DIMM, from 256 LMBs on";
        rows.push(Row::new(what, spread, "times").with_target(Bound::AtMost(1.2)));
        Ok(rows)
    }

    fn creations(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        // At 917,505 entries a hash table has just grown, and is emptiest.
        for size in [10, 1_000, 917_505, 1_000_000] {
            let measured = self.run("create", size)?;
            let bytes = Row::new(format!("idle connector, of {size}"), measured.bytes / measured.times, "bytes");
            rows.push(bytes.with_target(Bound::AtMost(64.0)));
            if size == 1_000_000 {
                let made = Row::new(format!("{size} connectors made"), measured.nanoseconds / 1e6, "ms of a processor");
                rows.push(made.with_target(Bound::AtMost(1000.0)));
            }
        }
        Ok(rows)
    }

    fn beside_qemu(&self, stock: f64) -> Result<Vec<Row>> {
        let ours = self.count("null", 1_000)?;
        let times = Row::new("set-indicator, stock QEMU over this crate", stock / ours, "times");
        Ok(vec![
            Row::new("set-indicator, stock QEMU, the same calls", stock, "instructions"),
            Row::new("set-indicator, this crate, the same calls", ours, "instructions"),
            times.with_target(Bound::AtLeast(10.0)),
        ])
    }
}

/// Runs a command and returns its standard output.
fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns the path of the bench `name`, if this message of cargo has it.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_it = message["target"]["name"] == name && message["target"]["kind"][0] == "bench";
    is_it.then(|| message["executable"].as_str().map(|path| Path::new(path).to_path_buf()))?
}

fn parse(output: &str) -> Result<Measurement> {
    let numbers: Vec<f64> = output.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [times, nanoseconds, bytes] => Ok(Measurement { times, nanoseconds, bytes }),
        _ => bail!("the bench printed `{output}`, which is not three numbers"),
    }
}

/// Returns the quotient of the largest and the smallest count.
fn spread(counts: impl Iterator<Item = f64> + Clone) -> f64 {
    counts.clone().fold(0.0, f64::max) / counts.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_most_over_the_least() {
        assert!((spread([3.0, 2.0, 2.5].into_iter()) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn executable_is_that_of_the_bench() {
        let message =
            r#"{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"wall"},"executable":"/t/wall-1"}"#;
        assert_eq!(executable(message, "wall"), Some(PathBuf::from("/t/wall-1")));
        assert_eq!(executable(message, "instructions"), None);
        assert_eq!(executable("not json", "wall"), None);
    }
}
