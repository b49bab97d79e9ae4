// SPDX-License-Identifier: MIT OR Apache-2.0

//! Number of instructions that QEMU takes for one `set-indicator` call, counted by callgrind.

use crate::{
    artifacts::qemu::{Qemu, bundle},
    cache::store::Store,
    roots::root::{QEMU_ROOT, Root},
    run::sandbox::{BUILD, WORK},
};
use anyhow::{Context, Result, ensure};
use papr_unplug_differential::{
    connection::Connection,
    machine::{self, Device},
    monitor::Monitor,
    program::accept,
    qtest::Qtest,
    step::indicator,
};
use std::{
    fs,
    os::unix::net::UnixListener,
    process::{Child, Stdio},
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

/// Returns the number of instructions that one of [`CALLS`] takes on average in a QEMU that was built here.
pub(crate) fn per_set_indicator(store: &Store, qemu: &Qemu) -> Result<f64> {
    let [root, qemu] = store.ensure_all([&QEMU_ROOT, qemu])?;
    let dir = tempfile::tempdir()?;
    let listen = |role: &str| UnixListener::bind(dir.path().join(role)).context("cannot listen for the VMM");
    let (qtest, monitor) = (listen("qtest")?, listen("monitor")?);

    let sandbox = Root::sandbox(&root).bind_read_only(&qemu.dir, BUILD).bind(dir.path(), WORK);
    let mut command = sandbox.command(["valgrind", "--tool=callgrind", "--collect-atstart=no"]);
    command.arg(format!("--toggle-collect={HANDLER}")).arg(format!("--callgrind-out-file={WORK}/counted"));
    command.arg(format!("{BUILD}/{}", bundle::BINARY)).arg("-L").arg(format!("{BUILD}/{}", bundle::DATA));
    command.args(machine::arguments(machine::QTEST, &[], None));
    command.args(["-qtest", &format!("unix:{WORK}/qtest"), "-qtest-log", "none"]);
    command.args(["-qmp", &format!("unix:{WORK}/monitor")]);
    let output = fs::File::create(dir.path().join("output"))?;
    let mut child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    let counted = count(&mut child, &qtest, &monitor);
    if counted.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let said = || fs::read_to_string(dir.path().join("output")).unwrap_or_default();
    counted.with_context(said)?;
    ensure!(status.success(), "QEMU under valgrind failed ({status}): {}", said());
    let total = total(&fs::read_to_string(dir.path().join("counted"))?).context("callgrind printed no totals")?;
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
pub(crate) fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}
