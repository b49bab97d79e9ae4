// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls: arguments and results are cells in guest memory (LoPAR, "RTAS").

use crate::{event_log, machine::Machine, memory};
use papr_unplug::{
    drc::NOT_CONFIGURABLE,
    wire::{drc::DrcIndex, rtas::Status},
};

/// The most arguments, and the most results, of a call.
const MAX_CELLS: u64 = 16;

/// Status of a call whose parameters are wrong.
const PARAMETER: Status = Status(-3);

/// Status of `check-exception` without an event, and the bit of its event mask for hot plug events.
const NO_EVENT: Status = Status(1);
const HOT_PLUG: u32 = 0x1000_0000;

/// Statuses of `ibm,configure-connector` by which the node goes on.
const CHILD: Status = Status(2);
const PROPERTY: Status = Status(3);

/// The size of its work area in bytes, and the offset of a name in it.
const WORK_AREA: u64 = 4096;
const NAME_AT: u32 = 20;

/// Cells in guest memory.
pub(crate) struct Cells {
    pub(crate) address: u64,
    pub(crate) count: u64,
}

impl Machine {
    /// Makes a call. Returns `None` if its arguments or results are too many, or not in guest memory.
    pub(crate) fn rtas(&mut self, name: &str, arguments: &Cells, results: &Cells) -> Option<()> {
        if arguments.count.max(results.count) > MAX_CELLS {
            return None;
        }
        let words = self.memory.cells(arguments.address, arguments.count)?;
        let mut out = self.memory.cells(results.address, results.count)?;
        out.fill(0);
        let status = match (name, words.as_slice(), out.as_mut_slice()) {
            ("set-indicator", words, [_]) => self.set_indicator(words),
            ("get-sensor-state", words, [_, state]) => {
                let (status, sense) = self.tracker.get_sensor_state(words);
                *state = sense.0;
                status
            }
            ("ibm,configure-connector", [work_area, _], [_]) => {
                self.configure_connector(u64::from(*work_area)).unwrap_or(PARAMETER)
            }
            ("check-exception", [_, _, mask, _, buffer, length, ..], [_]) => {
                self.check_exception(*mask, u64::from(*buffer), *length).unwrap_or(PARAMETER)
            }
            _ => PARAMETER,
        };
        if let Some(first) = out.first_mut() {
            *first = status.0 as u32;
        }
        self.memory.write(results.address, &memory::bytes(&out))
    }

    fn set_indicator(&mut self, words: &[u32]) -> Status {
        let answer = self.tracker.set_indicator(words, &mut self.events);
        if let Some(change) = answer.change.filter(|change| change.restarts_configuration()) {
            self.parts.remove(&change.connector.0);
        }
        answer.status
    }

    /// Hands over the next part of the node behind a connector: its name, and then its only property.
    fn configure_connector(&mut self, work_area: u64) -> Option<Status> {
        let index = *self.memory.cells(work_area, WORK_AREA / 4)?.first()?;
        let status = match self.parts.get(&index) {
            None => self.tracker.configure(DrcIndex(index), &mut self.events),
            Some(_) if self.tracker.is_configurable(DrcIndex(index)) => Status::SUCCESS,
            Some(_) => NOT_CONFIGURABLE,
        };
        if !status.is_success() {
            return Some(status);
        }
        let (status, name, value) = match self.parts.remove(&index) {
            None => (CHILD, format!("connector@{index:x}"), Vec::new()),
            Some(1) => (PROPERTY, "ibm,my-drc-index".to_owned(), memory::bytes(&[index])),
            Some(_) => return Some(self.tracker.configured(DrcIndex(index))),
        };
        self.parts.insert(index, if status == CHILD { 1 } else { 2 });
        // LoPAR: behind two cells are the offset of the name, the length of the value, and its offset.
        let value_at = NAME_AT.saturating_add(name.len() as u32).saturating_add(1);
        let cells = memory::bytes(&[index, 0, NAME_AT, value.len() as u32, value_at]);
        self.memory.write(work_area, &[cells, name.into_bytes(), vec![0], value].concat())?;
        Some(status)
    }

    /// Gives the guest its next hot plug event, cut off where its buffer ends.
    fn check_exception(&mut self, mask: u32, buffer: u64, length: u32) -> Option<Status> {
        self.memory.read(buffer, u64::from(length))?;
        if mask & HOT_PLUG == 0 {
            return Some(NO_EVENT);
        }
        let Some(queued) = self.queue.pop_front() else { return Some(NO_EVENT) };
        let mut log = event_log::of(&queued.section);
        log.truncate(usize::try_from(length).ok()?);
        self.memory.write(buffer, &log)?;
        Some(Status::SUCCESS)
    }
}
