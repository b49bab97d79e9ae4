// SPDX-License-Identifier: MIT OR Apache-2.0

//! Number of instructions that QEMU takes for one `set-indicator` call, counted by callgrind.

use crate::{
    connection::Connection,
    machine::{self, Device},
    monitor::Monitor,
    program::accept,
    qtest::Qtest,
    step::indicator,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, Stdio},
};

/// QEMU's function that answers a call. It has this name in all versions; callgrind counts what it calls, too.
const HANDLER: &str = "rtas_set_indicator";

/// The calls: one that changes nothing and one that is not allowed, of each indicator, for a core and an LMB.
const CALLS: [(u32, u32, u32); 4] = [
    (indicator::ISOLATION, Device::Core.first(), 1),
    (indicator::ISOLATION, Device::Dimm1.first(), 1),
    (indicator::ALLOCATION, Device::Core.first(), 1),
    (indicator::ALLOCATION, Device::Dimm1.first(), 0),
];

/// The number of times that [`CALLS`] are made. One round more or less changes the average by less than a percent.
const ROUNDS: u32 = 250;

/// Returns the number of instructions that one of [`CALLS`] takes on average in a QEMU. `valgrind` runs valgrind, which
/// finds the directory `dir` at `inside`; `qemu` are the words by which it starts QEMU.
pub fn per_set_indicator(mut valgrind: Command, qemu: &[String], dir: &Path, inside: &str) -> Result<f64> {
    let listen = |role: &str| UnixListener::bind(dir.join(role)).context("cannot listen for the VMM");
    let (qtest, monitor) = (listen("qtest")?, listen("monitor")?);
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", &format!("--toggle-collect={HANDLER}")]);
    valgrind.arg(format!("--callgrind-out-file={inside}/counted")).args(qemu);
    valgrind.args(machine::arguments(machine::QTEST, &[], None));
    valgrind.args(["-qtest", &format!("unix:{inside}/qtest"), "-qtest-log", "none"]);
    valgrind.args(["-qmp", &format!("unix:{inside}/monitor")]);
    let output = fs::File::create(dir.join("output"))?;
    let mut child = valgrind.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    let counted = count(&mut child, &qtest, &monitor);
    if counted.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let said = || fs::read_to_string(dir.join("output")).unwrap_or_default();
    counted.with_context(said)?;
    ensure!(status.success(), "QEMU under valgrind failed ({status}): {}", said());
    let total = total(&fs::read_to_string(dir.join("counted"))?).context("callgrind printed no totals")?;
    Ok(total as f64 / f64::from(ROUNDS * CALLS.len() as u32))
}

fn count(vmm: &mut Child, qtest: &UnixListener, monitor: &UnixListener) -> Result<()> {
    let monitor = accept(monitor, vmm)?;
    let mut qtest = Qtest::on(Connection::on(accept(qtest, vmm)?)?);
    let mut monitor = Monitor::greet(Connection::on(monitor)?)?;
    for _ in 0..ROUNDS {
        for (indicator, index, value) in CALLS {
            qtest.set_indicator(indicator, index, value)?;
        }
    }
    monitor.execute("quit", serde_json::json!({}))?;
    Ok(())
}

/// Returns the number in the line `totals: N` of callgrind's output.
pub fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
