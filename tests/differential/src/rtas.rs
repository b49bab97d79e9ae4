// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls through qtest. Arguments and results are in the guest's memory.

use crate::{
    answer::MORE,
    qtest::{self, Qtest, QtestError},
};

/// Guest physical addresses of arguments, results and work areas. No guest runs, so all memory is free.
const ARGUMENTS: u64 = 0x10_0000;
const RESULTS: u64 = 0x10_0100;
const WORK_AREA: u64 = 0x10_1000;
const EVENT: u64 = 0x10_2000;
/// Addresses for calls that are sent together.
const MANY_ARGUMENTS: u64 = 0x20_0000;
const MANY_RESULTS: u64 = 0x30_0000;
/// The number of calls that are sent together. QEMU stops when its responses are not read.
const MANY: usize = 256;

/// The statuses of `ibm,configure-connector` by which the node goes on (LoPAR).
const KINDS_OF_MORE: std::ops::RangeInclusive<i32> = 1..=4;

/// The status of `check-exception` without an event.
pub const NO_EVENT: i32 = 1;
/// The event mask of `check-exception` for hot plug events.
const HOT_PLUG: u32 = 0x1000_0000;
/// The size in bytes of the event buffer.
const EVENT_SIZE: u32 = 2048;

/// One method for each RTAS function.
impl Qtest {
    /// Calls `set-indicator` and returns the status.
    pub fn set_indicator(&mut self, indicator: u32, index: u32, value: u32) -> Result<i32, QtestError> {
        let [status] = self.rtas("set-indicator", &[indicator, index, value])?;
        Ok(status as i32)
    }

    /// Calls `get-sensor-state` and returns status and state.
    pub fn get_sensor_state(&mut self, sensor: u32, index: u32) -> Result<(i32, u32), QtestError> {
        let [status, state] = self.rtas("get-sensor-state", &[sensor, index])?;
        Ok((status as i32, state))
    }

    /// Calls `ibm,configure-connector` until the node ends, at most `calls` times. Returns the last status, or
    /// [`MORE`].
    pub fn configure_connector(&mut self, index: u32, calls: u32) -> Result<i32, QtestError> {
        // Firmware reads only the DRC index from the work area.
        self.ask(&[&qtest::write(WORK_AREA, &index.to_be_bytes())])?;
        for _ in 0..calls {
            let [status] = self.rtas("ibm,configure-connector", &[WORK_AREA as u32, 0])?;
            if !is_more(status as i32) {
                return Ok(status as i32);
            }
        }
        Ok(MORE)
    }

    /// Calls `check-exception` for hot plug events and returns the bytes of the event, if any.
    pub fn take_event(&mut self) -> Result<Option<Vec<u8>>, QtestError> {
        let [status] = self.rtas("check-exception", &[0, 0, HOT_PLUG, 0, EVENT as u32, EVENT_SIZE])?;
        if status as i32 == NO_EVENT {
            return Ok(None);
        }
        qtest::bytes(self.ask(&[&qtest::read(EVENT, EVENT_SIZE as usize)])?).map(Some)
    }

    /// Calls `start-cpu` for a stopped CPU, with the address to start at and the value of r3.
    pub fn start_cpu(&mut self, number: u32, address: u32, register: u32) -> Result<i32, QtestError> {
        let [status] = self.rtas("start-cpu", &[number, address, register])?;
        Ok(status as i32)
    }

    fn rtas<const N: usize>(&mut self, name: &str, arguments: &[u32]) -> Result<[u32; N], QtestError> {
        let [write, call] = questions(name, arguments, N);
        let bytes = qtest::bytes(self.ask(&[&write, &call, &qtest::read(RESULTS, 4 * N)])?)?;
        let mut results = [0; N];
        for (result, cell) in results.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *result = u32::from_be_bytes(*cell);
        }
        Ok(results)
    }
}

/// True if by this status of `ibm,configure-connector` the node goes on.
pub fn is_more(status: i32) -> bool {
    KINDS_OF_MORE.contains(&status)
}

/// An RTAS call for [`Qtest::call_all`].
#[derive(Clone, Copy, Debug)]
pub enum RtasCall {
    /// `set-indicator` with an indicator, an index and a value.
    Set(u32, u32, u32),
    /// `ibm,configure-connector`, with the work area of an index.
    Configure(u32),
    /// `check-exception` for hot plug events.
    TakeEvent,
}

impl Qtest {
    /// Makes the calls in their order, without waiting in between, and returns the status of each.
    pub fn call_all(&mut self, calls: &[RtasCall]) -> Result<Vec<i32>, QtestError> {
        let mut statuses = Vec::with_capacity(calls.len());
        for calls in calls.chunks(MANY) {
            let (mut cells, mut questions) = (Vec::new(), Vec::new());
            for (number, call) in calls.iter().enumerate() {
                let (name, arguments) = call.name_and_arguments();
                let at = MANY_ARGUMENTS + cells.len() as u64;
                let results = MANY_RESULTS + 4 * number as u64;
                if let RtasCall::Configure(index) = call {
                    questions.push(qtest::write(WORK_AREA, &index.to_be_bytes()));
                }
                questions.push(format!("rtas {name} {} {at:#x} 1 {results:#x}", arguments.len()));
                cells.extend(arguments.iter().flat_map(|cell| cell.to_be_bytes()));
            }
            questions.insert(0, qtest::write(MANY_ARGUMENTS, &cells));
            questions.push(qtest::read(MANY_RESULTS, 4 * calls.len()));
            let answer = self.ask(&questions.iter().map(String::as_str).collect::<Vec<_>>())?;
            let bytes = qtest::bytes(answer)?;
            statuses.extend(bytes.as_chunks::<4>().0.iter().map(|cell| i32::from_be_bytes(*cell)));
        }
        Ok(statuses)
    }
}

impl RtasCall {
    fn name_and_arguments(self) -> (&'static str, Vec<u32>) {
        match self {
            Self::Set(indicator, index, value) => ("set-indicator", vec![indicator, index, value]),
            Self::Configure(_) => ("ibm,configure-connector", vec![WORK_AREA as u32, 0]),
            Self::TakeEvent => ("check-exception", vec![0, 0, HOT_PLUG, 0, EVENT as u32, EVENT_SIZE]),
        }
    }
}

/// Returns the qtest commands of a `set-indicator` call, without one that reads the status.
pub fn set_indicator(indicator: u32, index: u32, value: u32) -> [String; 2] {
    questions("set-indicator", &[indicator, index, value], 1)
}

fn questions(name: &str, arguments: &[u32], results: usize) -> [String; 2] {
    let bytes: Vec<u8> = arguments.iter().flat_map(|cell| cell.to_be_bytes()).collect();
    let call = format!("rtas {name} {} {ARGUMENTS:#x} {results} {RESULTS:#x}", arguments.len());
    [qtest::write(ARGUMENTS, &bytes), call]
}
