// SPDX-License-Identifier: MIT OR Apache-2.0

//! Probes that the guest's administrator switches off and on: those of the module, and those of the tests' trace.

use crate::vm::Vm;
use anyhow::Result;

/// Succeeds if the module's probes are off: kprobes by their switch, fprobes by that of the function tracer, which kernels
/// from 7.3 on do not let go off.
const ARE_OFF: &str = "[ $(cat /proc/sys/kernel/ftrace_enabled) = 0 ]";

/// Succeeds if the module's probes are fprobes.
const HAVE_FPROBES: &str = "uname -v | grep -q PREEMPT && grep -q ' unregister_fprobe_async$' /proc/kallsyms";

impl Vm {
    /// Switches all kprobes of the kernel and its function tracer off. Returns whether the module's probes are off then.
    pub fn switch_probes_off(&mut self) -> Result<bool> {
        self.switch_probes(0)?;
        Ok(self.guest.run(&format!("if {HAVE_FPROBES}; then {ARE_OFF}; fi"))?.status == 0)
    }

    /// Switches all kprobes of the kernel and its function tracer on.
    pub fn switch_probes_on(&mut self) -> Result<()> {
        self.switch_probes(1)
    }

    /// Switches the kind of probes that the module's are off and on without end. (To switch the function tracer while
    /// kprobes are being switched makes 6.12 stop tracing for good, with a warning.)
    pub fn begin_switching_probes(&mut self) -> Result<()> {
        let switch = format!(
            "if {HAVE_FPROBES}; then echo /proc/sys/kernel/ftrace_enabled; else echo /sys/kernel/debug/kprobes/enabled; fi"
        );
        let command =
            format!("switch=$({switch}); {{ while :; do echo 0 > $switch; echo 1 > $switch; done & }} ; switching=$!");
        self.guest.sh(&command).map(drop)
    }

    /// Ends [`Self::begin_switching_probes`], with all probes on.
    pub fn end_switching_probes(&mut self) -> Result<()> {
        self.guest.sh("kill $switching")?;
        self.switch_probes_on()
    }

    /// Returns whether the module found its probes to be on only after the kernel had switched on all kprobes, the first
    /// time; `None` where its probes are none.
    pub fn has_waited_for_all_probes(&mut self) -> Result<Option<bool>> {
        let first = "dmesg | grep -E 'Kprobes globally enabled|probes are switched on again' | head -n 1";
        let line = self.guest.run(&format!("if {HAVE_FPROBES}; then false; else {first}; fi"))?;
        Ok((line.status == 0).then(|| line.text.contains("globally enabled")))
    }

    fn switch_probes(&mut self, state: u8) -> Result<()> {
        let switches = "/proc/sys/kernel/ftrace_enabled /sys/kernel/debug/kprobes/enabled";
        let command =
            format!("for switch in {switches}; do if [ -e $switch ]; then echo {state} > $switch; fi; done; true");
        self.guest.sh(&command).map(drop)
    }
}
