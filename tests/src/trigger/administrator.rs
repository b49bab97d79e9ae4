// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removals by the guest's administrator, which no hypervisor has requested.

use crate::{
    observe::trace::{self, Asker, Attempt, SetIndicator, TraceEvent},
    vm::Vm,
};
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::drc::DrcIndex;

/// Write to `/sys/kernel/dlpar` that has ended.
#[derive(Clone, Debug)]
pub struct DlparWrite {
    /// Attempt.
    pub attempt: Attempt,
    /// `set-indicator` calls during the attempt.
    pub calls: Vec<SetIndicator>,
}

impl DlparWrite {
    /// Returns the connectors that the guest unisolated during the attempt.
    pub fn unisolated(&self) -> Vec<DrcIndex> {
        trace::unisolated(&self.calls)
    }
}

impl Vm {
    /// Writes a request to `/sys/kernel/dlpar`, such as `memory remove index 0x80000008`, and waits for its end.
    pub fn write_dlpar(&mut self, request: &str) -> Result<DlparWrite> {
        self.trace.so_far(&mut self.guest)?;
        // The write fails if the attempt does.
        self.guest.run(&format!("echo '{request}' > /sys/kernel/dlpar"))?;
        let steps = self.trace.so_far(&mut self.guest)?;
        let end = |step: &TraceEvent| match step {
            TraceEvent::End(attempt) if attempt.asker == Asker::Administrator => Some(*attempt),
            _ => None,
        };
        let attempt = steps.iter().find_map(end).with_context(|| format!("the guest did not attempt `{request}`"))?;
        Ok(DlparWrite { attempt, calls: steps.into_iter().filter_map(TraceEvent::call).collect() })
    }
}
