// SPDX-License-Identifier: MIT OR Apache-2.0

//! Machine with one DIMM of many LMBs, for measuring the VMM's share of the time that a removal takes.

use crate::{
    machine::Device,
    monitor::{Monitor, Reply},
    program::{Process, Program},
    qtest::Qtest,
    rtas::{self, RtasCall},
    step::indicator,
};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The size of an LMB, in MiB.
const LMB: u64 = 256;
/// The machine's memory without the DIMM, in LMBs.
const BASE: u32 = 4;
/// The IDs of the DIMM and of its memory backend.
const DIMM: &str = "large";
const BACKEND: &str = "large-ram";

/// A VMM with this machine.
#[derive(Debug)]
pub struct LargeDimm {
    qtest: Qtest,
    monitor: Monitor,
    lmbs: u32,
    /// The number of `ibm,configure-connector` calls that read the node of an LMB; 0 before the first was read.
    node: usize,
    _process: Process,
}

/// The duration of a removal.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// The time from `device_del` to its answer.
    pub asking: Duration,
    /// The time from there to `DEVICE_DELETED`; the calls that release the LMBs follow one another without a pause.
    pub giving_back: Duration,
}

impl LargeDimm {
    /// Starts a VMM with room for a DIMM of `lmbs` LMBs.
    pub fn start(program: &Program, lmbs: u32) -> Result<Self> {
        let maxmem = u64::from(BASE + lmbs) * LMB;
        // Nothing is written to the memory, so the host need not have it.
        let backend = format!("memory-backend-ram,id={BACKEND},size={}M,reserve=off", u64::from(lmbs) * LMB);
        let words = ["-m", &format!("maxmem={maxmem}M"), "-object", &backend];
        let program = Device::ALL.into_iter().fold(program.clone(), Program::without);
        let process = program.with(&words).start()?;
        let qtest = Qtest::on(process.connection(&process.qtest)?);
        let monitor = Monitor::greet(process.connection(&process.monitor)?)?;
        Ok(Self { qtest, monitor, lmbs, node: 0, _process: process })
    }

    /// Plugs the DIMM and removes it.
    ///
    /// QEMU allocates 1 MiB for each LMB whose node was read, so measure one machine at a time.
    pub fn remove(&mut self) -> Result<Took> {
        self.plug()?;
        let begin = Instant::now();
        self.execute("device_del", json!({ "id": DIMM }))?;
        let asked = Instant::now();
        let give_back =
            |index| [RtasCall::Set(indicator::ISOLATION, index, 0), RtasCall::Set(indicator::ALLOCATION, index, 0)];
        let calls: Vec<RtasCall> = self.connectors().flat_map(give_back).collect();
        let statuses = self.qtest.call_all(&calls)?;
        ensure!(self.monitor.wait_for("DEVICE_DELETED", |_| true)?, "the VMM is gone");
        let deleted = Instant::now();
        ensure!(statuses.iter().all(|status| *status == 0), "an LMB could not be given back");
        Ok(Took { asking: asked - begin, giving_back: deleted - asked })
    }

    /// Plugs the DIMM and configures its LMBs as a guest does.
    ///
    /// A reset would do that too, but makes QEMU allocate a hashed page table for all of the memory.
    fn plug(&mut self) -> Result<()> {
        let address = (u64::from(BASE) * LMB) << 20;
        self.execute("device_add", json!({ "driver": "pc-dimm", "id": DIMM, "memdev": BACKEND, "addr": address }))?;
        let take =
            |index| [RtasCall::Set(indicator::ALLOCATION, index, 1), RtasCall::Set(indicator::ISOLATION, index, 1)];
        let calls: Vec<RtasCall> = self.connectors().flat_map(take).collect();
        let statuses = self.qtest.call_all(&calls)?;
        ensure!(statuses.iter().all(|status| *status == 0), "an LMB could not be taken");
        let mut connectors = self.connectors();
        if self.node == 0 {
            self.node = self.read_node(connectors.next().context("a DIMM of no LMBs")?)?;
        }
        let node = self.node;
        let calls: Vec<RtasCall> = connectors.flat_map(|index| vec![RtasCall::Configure(index); node]).collect();
        let statuses = self.qtest.call_all(&calls)?;
        ensure!(statuses.chunks(node).all(|calls| calls.last() == Some(&0)), "an LMB could not be configured");
        Ok(())
    }

    /// Reads a node to its end and returns the number of calls.
    fn read_node(&mut self, index: u32) -> Result<usize> {
        let mut calls = 1;
        loop {
            match self.qtest.call_all(&[RtasCall::Configure(index)])?.first() {
                Some(0) => return Ok(calls),
                Some(status) if rtas::is_more(*status) => calls += 1,
                other => bail!("an LMB could not be configured: {other:?}"),
            }
        }
    }

    fn connectors(&self) -> std::ops::Range<u32> {
        let first = Device::Dimm1.first();
        first..first + self.lmbs
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<()> {
        // Discards earlier events.
        self.monitor.take_events()?;
        match self.monitor.execute(command, arguments)? {
            Reply::Done(_) => Ok(()),
            other => bail!("the VMM did not do {command}: {other:?}"),
        }
    }
}
