// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cargo xtask fuzz`: fuzzes the host crate with libFuzzer.
//!
//! The targets have the layout of cargo-fuzz, but are built by the stable compiler: libFuzzer needs a pass of LLVM that
//! it has, too. `docs/adr/0069-tools-of-its-own-in-xtask.md` compares.

use crate::{
    cache::store::Store,
    run::{
        log::{killed_with_parent, output_of},
        machine,
    },
};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::{env, fs, path::PathBuf, process::Command, thread};

/// A target: a file in `host-vmm/fuzz/fuzz_targets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The words of an RTAS call.
    Decode,
    /// A machine, from its first device to its last, compared with the reference of the tests.
    Tracker,
    /// A migration stream.
    Restore,
    /// The functions of the C ABI, with AddressSanitizer.
    Capi,
}

/// The instrumentation for libFuzzer: counters at every edge, and the operands of comparisons.
const COVERAGE: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Ccodegen-units=1",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The instrumentation of AddressSanitizer, which is unstable in rustc.
const ADDRESSES: &[&str] = &["-Zsanitizer=address"];

/// The limits of one input, in seconds, MiB and bytes. Inputs are long from the start, because many states are reached
/// only after many steps.
const LIMITS: &[&str] = &["-timeout=10", "-rss_limit_mb=1024", "-max_len=1024", "-len_control=0"];

/// The number of random inputs that a new corpus begins with.
const SEEDS: u64 = 64;

impl Target {
    /// Returns the target directory: programs with different flags are built in different ones.
    fn target_dir(self) -> &'static str {
        if self == Self::Capi { "watched" } else { "build" }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Fuzzes these targets, or all of them if none is named, as many at a time as there are processors.
pub(crate) fn run(store: &Store, minutes: u32, targets: &[Target]) -> Result<()> {
    // The crate of libFuzzer brings its source, which is C++.
    machine::require_fuzz_tools(&store.progress)?;
    let targets = if targets.is_empty() { Target::value_variants() } else { targets };
    let work = &Directories::at(store)?;
    targets.iter().try_for_each(|target| work.build(store, *target))?;
    let mut results = Vec::new();
    for batch in targets.chunks(machine::jobs()) {
        results.extend(thread::scope(|scope| {
            let spawn = |target: &Target| {
                let target = *target;
                scope.spawn(move || work.fuzz(store, target, minutes))
            };
            let runs: Vec<_> = batch.iter().map(spawn).collect();
            runs.into_iter()
                .map(|attack| attack.join().unwrap_or_else(|_| bail!("a thread panicked")))
                .collect::<Vec<_>>()
        }));
    }
    for summary in results.iter().flatten() {
        println!("{summary}");
    }
    work.census(store)?;
    results.into_iter().collect::<Result<Vec<_>>>().map(drop)
}

/// The directories that targets are built in and write to.
#[derive(Debug)]
struct Directories {
    manifest: PathBuf,
    directory: PathBuf,
    machine: String,
}

impl Directories {
    fn at(store: &Store) -> Result<Self> {
        let rustc = output_of(Command::new("rustc").arg("-vV"))?;
        let machine = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        Ok(Self {
            manifest: store.settings.checkout.join("host-vmm/fuzz/Cargo.toml"),
            directory: store.settings.checkout.join("target/fuzz"),
            machine: machine.to_owned(),
        })
    }

    fn of(&self, what: &str, target: Target) -> Result<PathBuf> {
        let directory = self.directory.join(what).join(target.name());
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(directory)
    }

    /// Returns `cargo build` with flags that build scripts and derive macros do not get.
    fn cargo(&self, flags: &[&str], target_dir: &str) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env("RUSTC_BOOTSTRAP", "1");
        cargo
            .args(["build", "--release", "--locked", "--target", &self.machine, "--manifest-path"])
            .arg(&self.manifest);
        cargo.arg("--target-dir").arg(self.directory.join(target_dir));
        cargo
    }

    fn program(&self, into: &str, name: &str) -> PathBuf {
        self.directory.join(into).join(&self.machine).join("release").join(name)
    }

    fn build(&self, store: &Store, target: Target) -> Result<()> {
        let watched = if target.target_dir() == "watched" { ADDRESSES } else { &[] };
        let mut cargo = self.cargo(&[COVERAGE, watched].concat(), target.target_dir());
        let (name, log) = (target.name(), format!("fuzz-{}-build", target.name()));
        store.log(&log)?.run(&format!("building the fuzzer of {name}"), cargo.args(["--bin", &name]))
    }

    /// Fuzzes a target. The error is a finding.
    fn fuzz(&self, store: &Store, target: Target, minutes: u32) -> Result<String> {
        let name = target.name();
        let (corpus, findings) = (self.of("corpus", target)?, self.of("findings", target)?);
        if fs::read_dir(&corpus)?.next().is_none() {
            for seed in 1..=SEEDS {
                fs::write(corpus.join(format!("seed-{seed}")), noise(seed))?;
            }
        }
        let program = self.program(target.target_dir(), &name);
        let mut fuzzer = killed_with_parent(&program.to_string_lossy());
        fuzzer.arg(&corpus).args(LIMITS).arg("-print_final_stats=1").arg("-use_value_profile=1");
        fuzzer.arg(format!("-max_total_time={}", u64::from(minutes) * 60));
        fuzzer.arg(format!("-artifact_prefix={}/", findings.display()));
        let log_name = format!("fuzz-{name}");
        let title = format!("fuzzing {name} for {minutes} min");
        store.log(&log_name)?.run(&title, &mut fuzzer).with_context(|| {
            let (program, findings) = (program.display(), findings.display());
            format!("{name}: a finding; the input is in {findings}, and `{program} FILE` shows it again")
        })?;
        let said = fs::read_to_string(store.log_dir().join(log_name + ".log"))?;
        let executions = statistic(&said, "number_of_executed_units").context("libFuzzer gave no statistics")?;
        let kept = fs::read_dir(&corpus)?.count();
        Ok(format!("{name}: {executions} executions in {minutes} min, no finding; the corpus has {kept} inputs"))
    }

    /// Prints the states that the corpus of the tracker reaches.
    fn census(&self, store: &Store) -> Result<()> {
        let corpus = self.of("corpus", Target::Tracker)?;
        let mut cargo = self.cargo(&["--cfg", "fuzzing"], "census");
        store.log("census")?.run("building the census", cargo.args(["--bin", "census"]))?;
        let report = output_of(Command::new(self.program("census", "census")).arg(corpus))?;
        println!("\nWhat the corpus of the tracker reaches:\n{report}");
        let file = self.directory.join("census.txt");
        fs::write(&file, report).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Returns an input of the greatest length, made from the seed by xorshift64*.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        Some(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes())
    };
    std::iter::from_fn(next).take(1024 / 8).flatten().collect()
}

/// Returns a number from the statistics that libFuzzer prints.
fn statistic(said: &str, name: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistic_is_read_by_its_whole_name() {
        let said = "Done 7 runs\nstat::number_of_executed_units: 19536\nstat::average_exec_per_sec:     936\n";
        assert_eq!(statistic(said, "number_of_executed_units"), Some(19536));
        assert_eq!(statistic(said, "number_of"), None);
    }
}
