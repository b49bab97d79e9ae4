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

/// `ibm,configure-connector`: there is more, and of which kind.
const KINDS_OF_MORE: std::ops::RangeInclusive<i32> = 1..=4;

/// `check-exception`: there is no event.
const NO_EVENT: i32 = 1;
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
            if !KINDS_OF_MORE.contains(&(status as i32)) {
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

/// The questions of a `set-indicator` call whose status nobody wants to know.
pub fn set_indicator(indicator: u32, index: u32, value: u32) -> [String; 2] {
    questions("set-indicator", &[indicator, index, value], 1)
}

fn questions(name: &str, arguments: &[u32], results: usize) -> [String; 2] {
    let bytes: Vec<u8> = arguments.iter().flat_map(|cell| cell.to_be_bytes()).collect();
    let call = format!("rtas {name} {} {ARGUMENTS:#x} {results} {RESULTS:#x}", arguments.len());
    [qtest::write(ARGUMENTS, &bytes), call]
}
