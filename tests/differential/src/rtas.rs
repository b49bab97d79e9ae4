// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls through qtest: their arguments are put into the guest's memory, and their results read from there.

use crate::{
    answer::MORE,
    qtest::{self, Qtest, QtestError},
};

/// Where arguments, results and work areas are put. No guest runs, so any memory will do.
const ARGUMENTS: u64 = 0x10_0000;
const RESULTS: u64 = 0x10_0100;
const WORK_AREA: u64 = 0x10_1000;
const EVENT: u64 = 0x10_2000;
/// The same for calls that are made one right after the other.
const MANY_ARGUMENTS: u64 = 0x20_0000;
const MANY_RESULTS: u64 = 0x30_0000;
/// How many of them go out at a time. QEMU answers each as it goes, and stops where nobody reads its answers.
const MANY: usize = 256;

/// `ibm,configure-connector`: there is more, and of which kind.
const KINDS_OF_MORE: std::ops::RangeInclusive<i32> = 1..=4;

/// `check-exception`: there is no event.
pub const NO_EVENT: i32 = 1;
/// `check-exception`: the class of hot plug events.
const HOT_PLUG: u32 = 0x1000_0000;
/// The longest event that is taken.
const EVENT_SIZE: u32 = 2048;

/// The calls, by the names that qtest knows them by.
impl Qtest {
    /// `set-indicator`.
    pub fn set_indicator(&mut self, indicator: u32, index: u32, value: u32) -> Result<i32, QtestError> {
        let [status] = self.rtas("set-indicator", &[indicator, index, value])?;
        Ok(status as i32)
    }

    /// `get-sensor-state`.
    pub fn get_sensor_state(&mut self, sensor: u32, index: u32) -> Result<(i32, u32), QtestError> {
        let [status, state] = self.rtas("get-sensor-state", &[sensor, index])?;
        Ok((status as i32, state))
    }

    /// `ibm,configure-connector`, as long as there is more, at most `calls` times; the last status, or [`MORE`].
    pub fn configure_connector(&mut self, index: u32, calls: u32) -> Result<i32, QtestError> {
        // Only the index has to be there; what the area holds otherwise is of no interest to firmware.
        self.ask(&[&qtest::write(WORK_AREA, &index.to_be_bytes())])?;
        for _ in 0..calls {
            let [status] = self.rtas("ibm,configure-connector", &[WORK_AREA as u32, 0])?;
            if !is_more(status as i32) {
                return Ok(status as i32);
            }
        }
        Ok(MORE)
    }

    /// `check-exception` for hot plug events: the bytes of the event, if there is one.
    pub fn take_event(&mut self) -> Result<Option<Vec<u8>>, QtestError> {
        let [status] = self.rtas("check-exception", &[0, 0, HOT_PLUG, 0, EVENT as u32, EVENT_SIZE])?;
        if status as i32 == NO_EVENT {
            return Ok(None);
        }
        qtest::bytes(self.ask(&[&qtest::read(EVENT, EVENT_SIZE as usize)])?).map(Some)
    }

    /// `start-cpu`, for a processor that is stopped, at an address and with a value in register 3.
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

/// Whether `ibm,configure-connector` says by this status that there is more.
pub fn is_more(status: i32) -> bool {
    KINDS_OF_MORE.contains(&status)
}

/// A call whose status is wanted and that others need not wait for.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `set-indicator` with an indicator, an index and a value.
    Set(u32, u32, u32),
    /// `ibm,configure-connector`, with the work area of an index.
    Configure(u32),
    /// `check-exception` for hot plug events.
    TakeEvent,
}

impl Qtest {
    /// Makes the calls in their order, and gives the status of each. What takes time is to wait for answers, so nobody waits
    /// in between.
    pub fn call_all(&mut self, calls: &[Call]) -> Result<Vec<i32>, QtestError> {
        let mut statuses = Vec::with_capacity(calls.len());
        for calls in calls.chunks(MANY) {
            let (mut cells, mut questions) = (Vec::new(), Vec::new());
            for (number, call) in calls.iter().enumerate() {
                let (name, arguments) = call.said();
                let at = MANY_ARGUMENTS + cells.len() as u64;
                let results = MANY_RESULTS + 4 * number as u64;
                if let Call::Configure(index) = call {
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

impl Call {
    fn said(self) -> (&'static str, Vec<u32>) {
        match self {
            Self::Set(indicator, index, value) => ("set-indicator", vec![indicator, index, value]),
            Self::Configure(_) => ("ibm,configure-connector", vec![WORK_AREA as u32, 0]),
            Self::TakeEvent => ("check-exception", vec![0, 0, HOT_PLUG, 0, EVENT as u32, EVENT_SIZE]),
        }
    }
}

/// The questions of a `set-indicator` call whose status nobody wants to know.
pub fn set_indicator(indicator: u32, index: u32, value: u32) -> [String; 2] {
    questions("set-indicator", &[indicator, index, value], 1)
}

fn questions(name: &str, arguments: &[u32], results: usize) -> [String; 2] {
    let bytes: Vec<u8> = arguments.iter().flat_map(|cell| cell.to_be_bytes()).collect();
    let call = format!("rtas {name} {} {ARGUMENTS:#x} {results} {RESULTS:#x}", arguments.len());
    [qtest::write(ARGUMENTS, &bytes), call]
}
