// SPDX-License-Identifier: MIT OR Apache-2.0

//! CPUs that make reports at the same time, each its own. They run a few instructions of machine code and no kernel.

use crate::{
    machine::Device,
    monitor::{Monitor, Reply},
    program::{Process, Program},
    qtest::{self, Qtest},
    step::indicator,
};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::deadline::Deadline;
use serde_json::json;
use std::fs;

/// The number of CPUs.
pub const COUNT: u32 = 3;

/// The address of the word that starts the calls.
const GO: u64 = 0x20_0000;
/// The memory of CPU n, at `OWN + n * OWN_SIZE`: the RTAS argument buffer, the sum of the statuses, and two flags.
const OWN: u64 = 0x30_0000;
const OWN_SIZE: u64 = 0x1000;
const STATUS: u16 = 24;
const SUM: u16 = 64;
const DONE: u16 = 72;
const READY: u16 = 76;

/// The entry points of the boot CPU (the firmware's) and of a CPU started by `start-cpu`.
const ENTRY: usize = 0x100;
const COMMON: u64 = 0x108;

/// A machine with these CPUs.
#[derive(Debug)]
pub struct Processors {
    qtest: Qtest,
    monitor: Monitor,
    set_indicator: u32,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Processors {
    /// Starts the machine. Each CPU makes `calls` calls once it is started.
    pub fn start(program: &Program, calls: u32) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let firmware = dir.path().join("firmware");
        fs::write(&firmware, image(calls))?;
        let absent = [Device::Core, Device::Pci, Device::Phb];
        let program = absent.into_iter().fold(program.clone(), Program::without).running(&firmware);
        let process = program.with(&["-smp", &COUNT.to_string()]).start()?;
        let qtest = Qtest::on(process.connection(&process.qtest)?);
        let mut monitor = Monitor::greet(process.connection(&process.monitor)?)?;
        // The RTAS token of set-indicator is a property of /rtas in the device tree.
        let tree = dir.path().join("tree");
        let reply = monitor.execute("dumpdtb", json!({ "filename": tree }))?;
        ensure!(matches!(reply, Reply::Done(_)), "the VMM does not give its device tree: {reply:?}");
        let set_indicator = property(&fs::read(tree)?, "set-indicator").context("there is no set-indicator")?;
        Ok(Self { qtest, monitor, set_indicator, _process: process, _dir: dir })
    }

    /// Makes a report through qtest.
    pub fn report(&mut self, index: u32, word: u32) -> Result<i32> {
        Ok(self.qtest.set_indicator(indicator::REPORTS, index, word)?)
    }

    /// Requests the removal of a device.
    pub fn remove(&mut self, device: Device) -> Result<()> {
        let reply = self.monitor.execute("device_del", json!({ "id": device.id() }))?;
        ensure!(matches!(reply, Reply::Done(_)), "the VMM does not ask for {device}: {reply:?}");
        Ok(())
    }

    /// Has each CPU repeat its report, starting when all are ready.
    ///
    /// Returns the sum of the statuses that each CPU received, and the events.
    pub fn run(&mut self, reports: [(u32, u32); COUNT as usize]) -> Result<(Vec<u64>, Vec<Event>)> {
        for (number, (index, word)) in (0..).zip(reports) {
            let cells = [self.set_indicator, 3, 1, indicator::REPORTS, index, word];
            let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
            self.qtest.ask(&[&qtest::write(own(number), &bytes)])?;
        }
        let reply = self.monitor.execute("cont", json!({}))?;
        ensure!(matches!(reply, Reply::Done(_)), "the processors do not run: {reply:?}");
        for number in 1..COUNT {
            let status = self.qtest.start_cpu(number, COMMON as u32, own(number) as u32)?;
            ensure!(status == 0, "processor {number} does not start: {status}");
        }
        self.await_all(READY)?;
        self.qtest.ask(&[&qtest::write(GO, &1_u32.to_be_bytes())])?;
        self.await_all(DONE)?;
        let sums = (0..COUNT).map(|number| self.cell(number, SUM + 4).map(u64::from)).collect::<Result<_>>()?;
        Ok((sums, self.monitor.take_events()?))
    }

    fn await_all(&mut self, flag: u16) -> Result<()> {
        let deadline = Deadline::start();
        for number in 0..COUNT {
            while self.cell(number, flag)? == 0 {
                ensure!(!deadline.left().is_zero(), "processor {number} does nothing");
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn cell(&mut self, number: u32, offset: u16) -> Result<u32> {
        let bytes = qtest::bytes(self.qtest.ask(&[&qtest::read(own(number) + u64::from(offset), 4)])?)?;
        Ok(u32::from_be_bytes(bytes.try_into().ok().context("not four bytes")?))
    }
}

fn own(number: u32) -> u64 {
    OWN + OWN_SIZE * u64::from(number)
}

/// Returns the code that is loaded as firmware.
///
/// Registers: r3 and r4 are the arguments of H_RTAS (LoPAR), r31 is the address of the CPU's memory, r30 the sum.
fn image(calls: u32) -> Vec<u8> {
    const H_RTAS: u16 = 0xF000;
    let [high, low] = [(calls >> 16) as u16, calls as u16];
    let code = [
        lis(3, (OWN >> 16) as u16), // ENTRY
        ori(3, 3, OWN as u16),
        mr(31, 3), // COMMON
        li(5, 1),
        stw(5, READY, 31),
        lis(6, (GO >> 16) as u16),
        lwz(7, 0, 6), // wait for GO
        0x2C07_0000,  // cmpwi r7,0
        0x4182_FFF8,  // beq -8
        lis(8, high),
        ori(8, 8, low),
        0x7D09_03A6, // mtctr r8
        li(30, 0),
        li(3, 0), // call
        ori(3, 3, H_RTAS),
        mr(4, 31),
        0x4400_0022, // sc 1
        lwz(5, STATUS, 31),
        0x7FDE_2A14,                  // add r30,r30,r5
        0x4200_FFE8,                  // bdnz -24
        0xFBDF_0000 | u32::from(SUM), // std r30,SUM(r31)
        li(5, 1),
        stw(5, DONE, 31),
        0x4800_0000, // b .
    ];
    let mut image = vec![0; ENTRY];
    image.extend(code.iter().flat_map(|instruction| instruction.to_be_bytes()));
    image
}

/// Encodes an instruction of the Power ISA's D-form.
fn form_d(opcode: u32, first: u32, second: u32, immediate: u16) -> u32 {
    opcode << 26 | first << 21 | second << 16 | u32::from(immediate)
}

fn li(to: u32, value: u16) -> u32 {
    form_d(14, to, 0, value)
}

fn lis(to: u32, value: u16) -> u32 {
    form_d(15, to, 0, value)
}

fn ori(to: u32, from: u32, value: u16) -> u32 {
    form_d(24, from, to, value)
}

fn lwz(to: u32, offset: u16, at: u32) -> u32 {
    form_d(32, to, at, offset)
}

fn stw(from: u32, offset: u16, at: u32) -> u32 {
    form_d(36, from, at, offset)
}

fn mr(to: u32, from: u32) -> u32 {
    31 << 26 | from << 21 | to << 16 | from << 11 | 444 << 1
}

/// Returns the first cell of the first one-cell property of this name.
///
/// Devicetree Specification, "Flattened Devicetree (DTB) Format".
fn property(tree: &[u8], name: &str) -> Option<u32> {
    const PROPERTY: u32 = 3;
    let cell = |at: usize| Some(u32::from_be_bytes(*tree.get(at..)?.first_chunk()?));
    let (structure, strings, size) = (cell(8)? as usize, cell(12)? as usize, cell(36)? as usize);
    let is_named = |at: usize| {
        let name_at = strings + cell(at + 8)? as usize;
        (tree.get(name_at..)?.strip_prefix(name.as_bytes())?.first() == Some(&0)).then_some(())
    };
    let mut cells = (structure..structure + size).step_by(4);
    let at = cells.find(|at| cell(*at) == Some(PROPERTY) && cell(at + 4) == Some(4) && is_named(*at).is_some())?;
    cell(at + 12)
}
