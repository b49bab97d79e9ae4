// SPDX-License-Identifier: MIT OR Apache-2.0

//! Removals that the guest's own administrator asks for, which no hypervisor has asked for.

use crate::{
    observe::trace::{self, Asker, Attempt, SetIndicator, Step},
    vm::Vm,
};
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::drc::DrcIndex;

/// An attempt of the administrator's that has ended.
#[derive(Clone, Debug)]
pub struct Errand {
    /// How.
    pub attempt: Attempt,
    /// The `set-indicator` calls of the guest meanwhile.
    pub calls: Vec<SetIndicator>,
}

impl Errand {
    /// The connectors that the guest unisolated meanwhile.
    pub fn unisolated(&self) -> Vec<DrcIndex> {
        trace::unisolated(&self.calls)
    }
}

impl Vm {
    /// Writes a request to `/sys/kernel/dlpar`, such as `memory remove index 0x80000008`.
    pub fn run_errand(&mut self, request: &str) -> Result<Errand> {
        self.trace.so_far(&mut self.guest)?;
        // The write fails as the attempt does.
        self.guest.run(&format!("echo '{request}' > /sys/kernel/dlpar"))?;
        let steps = self.trace.so_far(&mut self.guest)?;
        let end = |step: &Step| match step {
            Step::End(attempt) if attempt.asker == Asker::Administrator => Some(*attempt),
            _ => None,
        };
        let attempt = steps.iter().find_map(end).with_context(|| format!("the guest did not attempt `{request}`"))?;
        Ok(Errand { attempt, calls: steps.into_iter().filter_map(Step::call).collect() })
    }
}
