// SPDX-License-Identifier: MIT OR Apache-2.0

//! Trace of the guest's kernel: its `set-indicator` calls, and its attempts to add or remove devices.
//!
//! The trace needs no guest module, so it is evidence for stock guests as well.

use crate::guest::shell::Shell;
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::Action,
    rtas::{Indicator, IsolationState},
};
use std::collections::{BTreeSet, VecDeque};

/// Sets up the trace.
///
/// Probes on `handle_dlpar_errorlog`, which all attempts go through: the second byte of its argument tells an
/// addition from a removal, its return value is the result. They are fprobes on preemptible kernels that have them,
/// because kprobes crash those without a fix (`docs/adr/0005-probes-on-a-preemptible-kernel.md`).
///
/// The tracepoint of RTAS calls, for `set-indicator`. Kernels before 6.3 have none; a probe on `rtas_call()` takes
/// its place, where the arguments of the RTAS call follow those of the function.
///
/// [`RESTART_END_EVENT`], for the function that works on the hypervisor's requests. Before 5.6 the event does not say
/// of which function it is the end; there the event of the beginning does, and a worker does one work item at a time.
///
/// Descriptor 3 of the shell reads the trace.
const SETUP: &[&str] = &[
    "cd /sys/kernel/tracing",
    "if uname -v | grep -q PREEMPT && grep -qF 'f[:' README; then \
     echo 'f:papr_test/attempt handle_dlpar_errorlog%return errno=$retval:s32 comm=$comm' > dynamic_events && \
     echo 'f:papr_test/begin handle_dlpar_errorlog action=+1($arg1):u8 comm=$comm' >> dynamic_events; else \
     echo 'r:papr_test/attempt handle_dlpar_errorlog errno=$retval:s32 comm=$comm' > kprobe_events && \
     echo 'p:papr_test/begin handle_dlpar_errorlog action=+1(%gpr3):u8 comm=$comm' >> kprobe_events; fi",
    "if [ -e events/powerpc/rtas_input ]; then \
     echo 'name == \"set-indicator\"' > events/powerpc/rtas_input/filter; echo 1 > events/powerpc/rtas_input/enable; else \
     echo 'p:papr_test/call rtas_call token=%gpr3:x32 indicator=%gpr7:x32 connector=%gpr8:x32 state=%gpr9:x32' \
     >> kprobe_events && token=$(hexdump -e '4/1 \"%02x\"' /proc/device-tree/rtas/set-indicator) && \
     echo token == 0x$token > events/papr_test/call/filter && echo 1 > events/papr_test/call/enable; fi",
    "echo 1 > events/papr_test/begin/enable && echo 1 > events/papr_test/attempt/enable",
    "if grep -q function events/workqueue/workqueue_execute_end/format; then event=workqueue_execute_end; else \
     event=workqueue_execute_start; echo 1 > events/workqueue/$event/enable; fi; \
     echo \"function == 0x$(sed -n 's/ t pseries_hp_work_fn$//p' /proc/kallsyms)\" > events/workqueue/$event/filter",
    RESTART_END_EVENT,
    "exec 3< trace_pipe",
    "cd /root",
];

/// Traces the end of the kernel's work on a request of the hypervisor. Tracepoint handlers run in the order in which
/// they were registered, so this event comes after what a module does that is loaded already.
const RESTART_END_EVENT: &str =
    "for on in 0 1; do echo $on > /sys/kernel/tracing/events/workqueue/workqueue_execute_end/enable; done";

/// Waits for data and reads it. (The shell's own `read` would read single bytes.)
const READ: &str = "dd bs=65536 count=1 <&3 2>/dev/null";

/// Event in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// RTAS call.
    Call(SetIndicator),
    /// Begin of an attempt.
    Begin(Asker, Action),
    /// End of an attempt.
    End(Attempt),
    /// End of the kernel's work on a request of the hypervisor, and of the module's.
    Done,
    /// Mark that [`Trace::so_far`] has written.
    Mark(u64),
}

/// `set-indicator` call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetIndicator {
    /// Calling task, as `name-pid`.
    pub task: String,
    /// CPU of the call.
    pub cpu: u32,
    /// Indicator.
    pub indicator: Indicator,
    /// DRC index.
    pub connector: DrcIndex,
    /// State.
    pub state: u32,
}

/// Attempt to add or remove a device that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Requester.
    pub asker: Asker,
    /// Result: 0 or a negative errno.
    pub errno: i32,
}

/// Requester of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Hypervisor, by a hot plug event.
    Hypervisor,
    /// Administrator of the guest, by `/sys/kernel/dlpar`.
    Administrator,
}

/// Trace of the kernel, in the order in which things were done.
#[derive(Debug)]
pub struct Trace {
    unread: VecDeque<TraceEvent>,
    /// Workers that have begun with a request, on kernels before 5.6.
    workers: BTreeSet<String>,
    marks: u64,
}

impl Trace {
    /// Starts the trace.
    pub fn start(guest: &mut Shell) -> Result<Self> {
        guest.sh(&SETUP.join(" && ")).context("cannot trace the guest's kernel")?;
        Ok(Self { unread: VecDeque::new(), workers: BTreeSet::new(), marks: 0 })
    }

    /// Makes [`TraceEvent::Done`] come after what the modules do that are loaded now.
    pub fn trace_after_module(guest: &mut Shell) -> Result<()> {
        guest.sh(RESTART_END_EVENT).map(drop)
    }

    /// Waits for the end of the hypervisor's next attempt, and of the module's work on it. Returns the calls up to
    /// there and the attempt.
    pub fn attempt(&mut self, guest: &mut Shell) -> Result<(Vec<SetIndicator>, Attempt)> {
        let (mut calls, mut ended) = (Vec::new(), None);
        loop {
            match (self.next(guest).context("waiting for the guest to end its attempt")?, ended) {
                (TraceEvent::Call(call), _) => calls.push(call),
                (TraceEvent::End(attempt), None) if attempt.asker == Asker::Hypervisor => ended = Some(attempt),
                (TraceEvent::Done, Some(attempt)) => return Ok((calls, attempt)),
                (TraceEvent::Begin(..) | TraceEvent::End(_) | TraceEvent::Done | TraceEvent::Mark(_), _) => {}
            }
        }
    }

    /// Waits for the end of the kernel's work on the hypervisor's next request. Unlike [`Trace::attempt`] it needs no
    /// probe.
    pub fn work(&mut self, guest: &mut Shell) -> Result<()> {
        while self.next(guest).context("waiting for the kernel to end its work")? != TraceEvent::Done {}
        Ok(())
    }

    /// Waits for the end of the hypervisor's next addition. Removals may come before it: when a device is released, all
    /// its requests end for the host, but the guest still goes through them.
    pub fn addition(&mut self, guest: &mut Shell) -> Result<Attempt> {
        let mut has_begun = false;
        loop {
            let step = self.next(guest).context("waiting for the guest to add something")?;
            if let Some(attempt) = step.ends_addition(&mut has_begun) {
                return Ok(attempt);
            }
        }
    }

    /// Returns all events up to now. The guest has answered when this returns.
    pub fn so_far(&mut self, guest: &mut Shell) -> Result<Vec<TraceEvent>> {
        self.marks += 1;
        guest.sh(&format!("echo mark {} > /sys/kernel/tracing/trace_marker", self.marks))?;
        let mut steps = Vec::new();
        loop {
            match self.next(guest)? {
                TraceEvent::Mark(mark) if mark == self.marks => return Ok(steps),
                step => steps.push(step),
            }
        }
    }

    /// Returns the calls up to now, or up to the end of another attempt, whose events are kept.
    pub fn calls_so_far(&mut self, guest: &mut Shell) -> Result<Vec<SetIndicator>> {
        let mut steps = self.so_far(guest)?;
        let ours = steps.iter().position(|step| matches!(step, TraceEvent::End(_))).unwrap_or(steps.len());
        for further in steps.split_off(ours).into_iter().rev() {
            self.unread.push_front(further);
        }
        Ok(steps.into_iter().filter_map(TraceEvent::call).collect())
    }

    fn next(&mut self, guest: &mut Shell) -> Result<TraceEvent> {
        loop {
            if let Some(step) = self.unread.pop_front() {
                return Ok(step);
            }
            let read = guest.sh(READ)?;
            let workers = &mut self.workers;
            self.unread
                .extend(read.lines().filter(|line| is_about_requests(line, workers)).filter_map(TraceEvent::parse));
        }
    }
}

impl TraceEvent {
    /// Reads a line of the trace; returns `None` for any other event.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let task = words.next()?.to_owned();
        let cpu = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
        if let Some((_, words)) = line.split_once(": rtas_input: set-indicator arguments: {") {
            let mut words = words.trim_end_matches('}').split(',').map(hexadecimal);
            Some(Self::Call(SetIndicator {
                task,
                cpu: cpu?,
                indicator: Indicator(words.next()??),
                connector: DrcIndex(words.next()??),
                state: words.next()??,
            }))
        } else if let Some((_, rest)) = line.split_once(": call: (rtas_call+") {
            let member = |name: &str| {
                let value = rest.split_once(name)?.1.split(' ').next()?;
                hexadecimal(value)
            };
            Some(Self::Call(SetIndicator {
                indicator: Indicator(member(" indicator=")?),
                connector: DrcIndex(member(" connector=")?),
                state: member(" state=")?,
                task,
                cpu: cpu?,
            }))
        } else if let Some((_, rest)) = line.split_once(": begin: (") {
            let (_, action) = rest.split_once(" action=")?;
            let (action, task) = action.split_once(" comm=\"").unwrap_or((action, &task));
            Some(Self::Begin(Asker::of(task), Action(action.parse().ok()?)))
        } else if let Some((_, rest)) = line.split_once(": attempt: (") {
            let (_, errno) = rest.split_once(" errno=")?;
            let (errno, task) = errno.split_once(" comm=\"").unwrap_or((errno, &task));
            Some(Self::End(Attempt { asker: Asker::of(task), errno: errno.parse().ok()? }))
        } else if line.contains(": workqueue_execute_end: ") {
            Some(Self::Done)
        } else {
            let (_, mark) = line.split_once(": tracing_mark_write: mark ")?;
            Some(Self::Mark(mark.parse().ok()?))
        }
    }
}

impl Asker {
    /// Returns the requester on whose behalf a task runs. Requests of the hypervisor run in a kernel worker. (The
    /// caller of the function would tell as well, but a second probe on the function hides it.)
    fn of(task: &str) -> Self {
        if task.starts_with("kworker/") { Self::Hypervisor } else { Self::Administrator }
    }
}

impl TraceEvent {
    /// Returns the call of a [`TraceEvent::Call`].
    pub fn call(self) -> Option<SetIndicator> {
        match self {
            Self::Call(call) => Some(call),
            Self::Begin(..) | Self::End(_) | Self::Done | Self::Mark(_) => None,
        }
    }

    /// Returns the attempt if this event ends an addition by the hypervisor. `has_begun` is kept between calls: whether
    /// the current attempt of the hypervisor is an addition. (Attempts of the hypervisor do not overlap.)
    fn ends_addition(&self, has_begun: &mut bool) -> Option<Attempt> {
        match self {
            Self::Begin(Asker::Hypervisor, action) => *has_begun = *action == Action::ADD,
            Self::End(attempt) if attempt.asker == Asker::Hypervisor && *has_begun => return Some(*attempt),
            _ => {}
        }
        None
    }
}

impl SetIndicator {
    /// Returns whether the call sets isolation-state to UNISOLATE, which is a hint if a removal of the connector is
    /// requested.
    pub fn is_unisolate(&self) -> bool {
        self.indicator == Indicator::ISOLATION_STATE && self.state == IsolationState::UNISOLATE.0
    }
}

/// Returns the connectors of the UNISOLATE calls, in order.
pub fn unisolated<'a>(calls: impl IntoIterator<Item = &'a SetIndicator>) -> Vec<DrcIndex> {
    calls.into_iter().filter(|call| call.is_unisolate()).map(|call| call.connector).collect()
}

/// Returns whether a line of the trace is about the hypervisor's requests. `workers` have begun with one.
fn is_about_requests(line: &str, workers: &mut BTreeSet<String>) -> bool {
    // The number of the task: the trace does not always have its name.
    let worker = || line.split_whitespace().next()?.rsplit('-').next();
    if line.contains(": workqueue_execute_start: ") {
        workers.extend(worker().map(str::to_owned));
        false
    } else if let Some((_, ended)) = line.split_once(": workqueue_execute_end: ") {
        ended.contains(": function ") || worker().is_some_and(|worker| workers.remove(worker))
    } else {
        true
    }
}

fn hexadecimal(word: &str) -> Option<u32> {
    u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_names_its_task_and_arguments() {
        let line = "   kworker/u16:0-10      [000] dl.3.     6.720952: rtas_input: set-indicator arguments: \
                    {0x2329,0x80000008,0x1}";
        let call = SetIndicator {
            task: "kworker/u16:0-10".into(),
            cpu: 0,
            indicator: Indicator(9001),
            connector: DrcIndex(0x8000_0008),
            state: 1,
        };
        assert!(call.is_unisolate());
        assert_eq!(TraceEvent::parse(line), Some(TraceEvent::Call(call)));
    }

    #[test]
    fn call_that_a_probe_has_seen_is_the_same() {
        let call = |rest: &str| TraceEvent::parse(&format!("  kworker/0:1-10  [000] d....     6.720952: {rest}"));
        let probed = "call: (rtas_call+0x8/0x3c0) token=0x2009 indicator=0x2329 connector=0x80000008 state=0x1";
        assert_eq!(call(probed), call("rtas_input: set-indicator arguments: {0x2329,0x80000008,0x1}"));
        assert!(call(probed).is_some());
    }

    #[test]
    fn attempts_of_the_hypervisor_and_of_the_administrator_are_told_apart() {
        let line = |task| {
            format!(
                "  {task}  [001] ...1.  11.844976: attempt: ([unknown/kretprobe'd] <- handle_dlpar_errorlog) errno=-22"
            )
        };
        let end = |asker| Some(TraceEvent::End(Attempt { asker, errno: -22 }));
        assert_eq!(TraceEvent::parse(&line("kworker/u16:0-10")), end(Asker::Hypervisor));
        assert_eq!(TraceEvent::parse(&line("sh-41")), end(Asker::Administrator));
    }

    /// The kernel prints `<...>` where it has not recorded the name of a task.
    #[test]
    fn asker_is_known_where_the_trace_has_no_name_for_its_task() {
        let begin = "            <...>-10      [000] .....     0.779381: begin: (handle_dlpar_errorlog+0x8/0x5f8) action=1 \
             comm=\"kworker/u32:0\"";
        assert_eq!(TraceEvent::parse(begin), Some(TraceEvent::Begin(Asker::Hypervisor, Action::ADD)));
        let end = "            <...>-47      [000] ...1.     1.051042: attempt: (x <- handle_dlpar_errorlog) errno=-22 comm=\"sh\"";
        assert_eq!(TraceEvent::parse(end), Some(TraceEvent::End(Attempt { asker: Asker::Administrator, errno: -22 })));
    }

    #[test]
    fn addition_is_told_from_a_removal_that_was_still_under_way() {
        let trace = [
            "  kworker/u256:2-147     [000] ...1.    42.302090: attempt: (x <- handle_dlpar_errorlog) errno=-19",
            "  kworker/u256:2-147     [000] ...1.    42.303000: begin: (handle_dlpar_errorlog+0x8/0x238) action=2",
            "  sh-41      [001] ...1.    42.303500: attempt: (x <- handle_dlpar_errorlog) errno=-22",
            "  kworker/u256:2-147     [000] ...1.    42.304023: attempt: (x <- handle_dlpar_errorlog) errno=-19",
            "  kworker/u256:2-147     [000] ...1.    42.305000: begin: (handle_dlpar_errorlog+0x8/0x238) action=1",
            "  sh-41      [001] ...1.    42.305100: begin: (handle_dlpar_errorlog+0x8/0x238) action=2",
            "  sh-41      [001] ...1.    42.305500: attempt: (x <- handle_dlpar_errorlog) errno=-22",
            "  kworker/u256:2-147     [000] ...1.    42.309000: attempt: (x <- handle_dlpar_errorlog) errno=0",
        ];
        let mut has_begun = false;
        let ends: Vec<_> = trace.map(|line| TraceEvent::parse(line).unwrap().ends_addition(&mut has_begun)).into();
        let addition = Attempt { asker: Asker::Hypervisor, errno: 0 };
        assert_eq!(ends, [None, None, None, None, None, None, None, Some(addition)]);
    }

    #[test]
    fn marks_are_read_and_other_lines_are_passed_over() {
        let done = "   kworker/u32:2-62  [001] .....  1.311507: workqueue_execute_end: work struct 00000000040373ad: function \
             pseries_hp_work_fn";
        assert_eq!(TraceEvent::parse(done), Some(TraceEvent::Done));
        let mark = "    sh-41      [000] ...2.     9.222054: tracing_mark_write: mark 12";
        assert_eq!(TraceEvent::parse(mark), Some(TraceEvent::Mark(12)));
        for line in ["", "CPU:0 [LOST 12 EVENTS]", "  sh-1 [000] ...1. 1.0: rtas_input: query-cpu arguments: {0x1}"] {
            assert_eq!(TraceEvent::parse(line), None);
        }
    }

    /// Before 5.6, the end of a work item has no function.
    #[test]
    fn end_of_a_work_item_counts_if_its_function_is_that_of_requests() {
        let mut workers = BTreeSet::new();
        let mut counts =
            |task: &str, event: &str| is_about_requests(&format!("  {task}  [000] d... 6.72: {event}"), &mut workers);
        let end = "workqueue_execute_end: work struct (____ptrval____)";
        assert!(counts(
            "kworker/0:1-10",
            "workqueue_execute_end: work struct 00000000040373ad: function pseries_hp_work_fn"
        ));
        assert!(!counts("kworker/0:1-10", end));
        assert!(!counts(
            "kworker/0:1-10",
            "workqueue_execute_start: work struct (____ptrval____): function pseries_hp_work_fn"
        ));
        assert!(!counts("kworker/0:1-11", end));
        assert!(counts("<...>-10", end));
        assert!(!counts("kworker/0:1-10", end));
    }
}
