// SPDX-License-Identifier: MIT OR Apache-2.0

//! CPUs that make hypervisor calls, each its own and all at the same time. They run a few instructions of machine code
//! and no kernel.

use crate::{
    device_tree,
    machine::Device,
    monitor::{Monitor, Reply},
    program::{Process, Program, Threads},
    qtest::{self, Qtest},
    step::indicator,
};
use anyhow::{Context as _, Result, ensure};
use papr_unplug_qmp::message::Event;
use papr_unplug_tests::deadline::Deadline;
use serde_json::{Value, json};
use std::fs;

/// The address of the word that starts the calls.
const GO: u64 = 0x20_0000;
/// The memory of CPU n, at `OWN + n * OWN_SIZE`.
const OWN: u64 = 0x30_0000;
const OWN_SIZE: u64 = 0x1000;
/// Offsets in a CPU's memory: the number of rounds, the number of calls in a round, the sum of the statuses, two flags.
const ROUNDS: u16 = 0;
const COUNT: u16 = 4;
const SUM: u16 = 64;
const DONE: u16 = 72;
const READY: u16 = 76;
/// The offset of a cell that is always 0: the status of a call that is none of RTAS.
const ZERO: u16 = 80;
/// The offset of the calls, and the size of one: its number, three arguments, and the address of its status.
const CALLS: u16 = 0x100;
const CALL_SIZE: u16 = 20;
/// The offset of the RTAS argument buffers, and the size of one.
const BUFFERS: u16 = 0x400;
const BUFFER_SIZE: u16 = 32;

/// The address of the vectors of client architecture support.
const VECTORS: u64 = 0x28_0000;
/// The address and the size in bytes of the buffer for the device tree of client architecture support.
const TREE: u64 = 0x40_0000;
const TREE_SIZE: u64 = 0x10_0000;

/// The entry points of the boot CPU (the firmware's) and of a CPU started by `start-cpu`.
const ENTRY: usize = 0x100;
const COMMON: u64 = 0x108;

/// Hypervisor calls of LoPAR and of QEMU ("H_CAS" is made by firmware).
const H_RTAS: u32 = 0xF000;
const H_CAS: u32 = 0xF002;

/// A machine with these CPUs.
#[derive(Debug)]
pub struct Processors {
    qtest: Qtest,
    monitor: Monitor,
    tree: Vec<u8>,
    process: Process,
    _dir: tempfile::TempDir,
}

/// A hypervisor call that a CPU makes.
#[derive(Clone, Copy, Debug)]
pub enum Hypercall {
    /// RTAS: set-indicator with an indicator, an index and a value.
    Set(u32, u32, u32),
    /// RTAS: stop-self.
    Stop,
    /// ibm,client-architecture-support.
    Cas,
}

impl Processors {
    /// Starts the machine, stopped.
    pub fn start(program: &Program, threads: Threads) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let firmware = dir.path().join("firmware");
        fs::write(&firmware, image())?;
        let process = program.clone().running(&firmware, threads).start()?;
        let qtest = Qtest::on(process.connection(&process.qtest)?);
        let mut monitor = Monitor::greet(process.connection(&process.monitor)?)?;
        let tree = device_tree::dump(&process, &mut monitor)?;
        Ok(Self { qtest, monitor, tree, process, _dir: dir })
    }

    /// Calls set-indicator through qtest.
    pub fn set_indicator(&mut self, indicator: u32, index: u32, value: u32) -> Result<i32> {
        Ok(self.qtest.set_indicator(indicator, index, value)?)
    }

    /// Makes a report through qtest.
    pub fn report(&mut self, index: u32, word: u32) -> Result<i32> {
        self.set_indicator(indicator::REPORTS, index, word)
    }

    /// Requests the removal of a device.
    pub fn remove(&mut self, device: Device) -> Result<()> {
        self.execute("device_del", json!({ "id": device.id() })).map(drop)
    }

    /// Executes a QMP command, which must succeed.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        match self.monitor.execute(command, arguments)? {
            Reply::Done(value) => Ok(value),
            Reply::Refused(error) => anyhow::bail!("{command} fails: {}", error.description),
            Reply::Gone => anyhow::bail!("the VMM ended at {command}: {}", self.process.last_words()?),
        }
    }

    /// Says which calls a CPU makes, and how often it makes all of them.
    pub fn prepare(&mut self, cpu: u32, rounds: u32, calls: &[Hypercall]) -> Result<()> {
        let own = own(cpu);
        let mut commands = vec![qtest::write(own, &cells(&[rounds, calls.len() as u32]))];
        for (number, call) in (0..).zip(calls) {
            let buffer = own + u64::from(BUFFERS + number * BUFFER_SIZE);
            let zero = own + u64::from(ZERO);
            let (call, status, written) = match *call {
                Hypercall::Set(indicator, index, value) => {
                    let arguments = cells(&[self.token("set-indicator")?, 3, 1, indicator, index, value, 0]);
                    ([H_RTAS, buffer as u32, 0, 0], buffer + 24, qtest::write(buffer, &arguments))
                }
                Hypercall::Stop => {
                    let arguments = cells(&[self.token("stop-self")?, 0, 1, 0]);
                    ([H_RTAS, buffer as u32, 0, 0], buffer + 12, qtest::write(buffer, &arguments))
                }
                Hypercall::Cas => (
                    [H_CAS, VECTORS as u32, TREE as u32, TREE_SIZE as u32],
                    zero,
                    qtest::write(VECTORS, &architecture_vectors()),
                ),
            };
            let [number_of_call, a, b, c] = call;
            commands.push(written);
            let at = own + u64::from(CALLS + number * CALL_SIZE);
            commands.push(qtest::write(at, &cells(&[number_of_call, a, b, c, status as u32])));
        }
        self.qtest.ask(&commands.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(())
    }

    /// Starts CPUs 0 to `count - 1`, and has them make their calls when all are ready.
    pub fn go(&mut self, count: u32) -> Result<()> {
        self.execute("cont", json!({}))?;
        for cpu in 1..count {
            let status = self.qtest.start_cpu(cpu, COMMON as u32, own(cpu) as u32)?;
            ensure!(status == 0, "CPU {cpu} does not start: {status}");
        }
        (0..count).try_for_each(|cpu| self.wait_until(cpu, READY))?;
        self.qtest.ask(&[&qtest::write(GO, &1_u32.to_be_bytes())])?;
        Ok(())
    }

    /// Waits until a CPU has made all its calls, and returns the sum of their statuses.
    pub fn sum(&mut self, cpu: u32) -> Result<u64> {
        self.wait_until(cpu, DONE)?;
        Ok(u64::from(self.cell(cpu, SUM + 4)?))
    }

    /// Waits for an event about a device.
    pub fn wait_for(&mut self, name: &str, device: Device) -> Result<()> {
        let is_there = self.monitor.wait_for(name, |event| event.device() == Some(device.id()))?;
        ensure!(is_there, "the VMM ended instead of {name}: {}", self.process.last_words()?);
        Ok(())
    }

    /// Takes the events that have arrived.
    pub fn events(&mut self) -> Result<Vec<Event>> {
        self.monitor.take_events()
    }

    fn wait_until(&mut self, cpu: u32, flag: u16) -> Result<()> {
        let deadline = Deadline::start();
        while self.cell(cpu, flag)? == 0 {
            ensure!(!deadline.left().is_zero(), "CPU {cpu} does nothing");
            std::thread::yield_now();
        }
        Ok(())
    }

    fn cell(&mut self, cpu: u32, offset: u16) -> Result<u32> {
        let bytes = qtest::bytes(self.qtest.ask(&[&qtest::read(own(cpu) + u64::from(offset), 4)])?)?;
        Ok(u32::from_be_bytes(bytes.try_into().ok().context("not four bytes")?))
    }

    /// Returns the token of an RTAS function, a property of /rtas in the device tree.
    fn token(&self, function: &str) -> Result<u32> {
        device_tree::cells(&self.tree, function).next().with_context(|| format!("the device tree has no {function}"))
    }
}

fn own(cpu: u32) -> u64 {
    OWN + OWN_SIZE * u64::from(cpu)
}

fn cells(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// Returns vectors for ibm,client-architecture-support: any POWER9, then option vectors 1 to 5, each of one byte that
/// asks for nothing (LoPAR, "Root Node Methods").
fn architecture_vectors() -> Vec<u8> {
    let mut vectors = cells(&[0xFFFF_0000, 0x004E_0000, 0, 0xFFFF_FFFF]);
    vectors.push(5 - 1);
    vectors.extend([0; 2 * 5]);
    vectors
}

/// Returns the code that is loaded as firmware.
///
/// Registers: r31 is the address of the CPU's memory, r30 the sum, r29 the address of the call, r28 the number of
/// rounds left.
fn image() -> Vec<u8> {
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
        li(30, 0),
        lwz(28, ROUNDS, 31),
        addi(29, 31, CALLS), // round
        lwz(8, COUNT, 31),
        0x2C08_0000,   // cmpwi r8,0
        0x4182_0038,   // beq done
        0x7D09_03A6,   // mtctr r8
        lwz(3, 0, 29), // call
        lwz(4, 4, 29),
        lwz(5, 8, 29),
        lwz(6, 12, 29),
        0x4400_0022, // sc 1
        lwz(7, 16, 29),
        lwz(5, 0, 7),
        0x7FDE_2A14, // add r30,r30,r5
        addi(29, 29, CALL_SIZE),
        0x4200_FFDC,                  // bdnz call
        0x379C_FFFF,                  // addic. r28,r28,-1
        0x4082_FFC0,                  // bne round
        0xFBDF_0000 | u32::from(SUM), // done: std r30,SUM(r31)
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

fn addi(to: u32, from: u32, value: u16) -> u32 {
    form_d(14, to, from, value)
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
