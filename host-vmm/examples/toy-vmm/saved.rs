// SPDX-License-Identifier: MIT OR Apache-2.0

//! Saved machine, as a migration leaves it in a file. Guest memory is not in it, because no guest runs.

use crate::machine::{Machine, Queued};
use papr_unplug::event::RequestId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, error::Error};

#[derive(Serialize, Deserialize)]
struct Saved {
    tracker: Vec<u8>,
    queue: Vec<Queued>,
    parts: BTreeMap<u32, usize>,
}

impl Machine {
    /// Returns the machine as bytes.
    pub(crate) fn save(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let queue = self.queue.iter().cloned().collect();
        Ok(serde_json::to_vec(&Saved { tracker: self.tracker.save(), queue, parts: self.parts.clone() })?)
    }

    /// Loads a saved machine with the same devices. A load that fails changes nothing.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut saved: Saved = serde_json::from_slice(bytes)?;
        self.tracker.restore(&saved.tracker, &mut self.events)?;
        for queued in &mut saved.queue {
            queued.request = queued.request.map(|id| self.tracker.renumbered(RequestId(id)).0);
        }
        (self.queue, self.parts) = (saved.queue.into(), saved.parts);
        Ok(())
    }
}
