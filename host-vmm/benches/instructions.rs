// SPDX-License-Identifier: MIT OR Apache-2.0

//! Benchmark by counted instructions: `instructions SCENARIO SIZE` runs a scenario in [`measured`], which `cargo xtask
//! bench host` counts under callgrind. Prints the number of repetitions, processor time in nanoseconds, and bytes that
//! stay allocated.

#![forbid(unsafe_code)]

use papr_unplug::{
    Config, Offer, Span, Tracker,
    event::{Event, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{Indicator, Status},
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, env, fs, hint::black_box};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CORE: u32 = 0x1000_0001;
const LMB: u32 = 0x8000_0004;

/// Number of repetitions of a call; odd, so that both states of a pair are its beginning.
const ROUNDS: u64 = 1001;

/// Runs the work that is counted.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(scenario), Some(size)) = (arguments.next(), arguments.next().and_then(|size| size.parse().ok())) else {
        return println!("usage: instructions null|move|report|release|create SIZE");
    };
    match scenario.as_str() {
        "null" => calls(size, &NULL_TRANSITIONS),
        "move" => calls(size, &MOVES),
        "report" => calls(size, &REPORTS),
        "release" => release(size),
        "create" => create(size),
        other => panic!("there is no scenario {other}"),
    }
}

/// Prints the result for `cargo xtask bench host`.
fn tell(times: u64, begun: u64, bytes: isize) {
    println!("{times} {} {bytes}", processor_time() - begun);
}

/// Returns the nanoseconds that this thread ran on a processor, which other load does not change.
fn processor_time() -> u64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has scheduler statistics");
    statistics.split(' ').next().and_then(|time| time.parse().ok()).expect("they begin with the time")
}

/// Returns a machine with this number of connectors, among them a configured CPU core and a configured DIMM of one LMB,
/// and armed.
fn machine(connectors: u32) -> Tracker {
    let offer = Offer::new(Indicator(9100), Classes::CPU | Classes::MEMORY, Features::TOKEN);
    let mut machine = Tracker::new(Config::default().offer(offer));
    let core = Span::from(DrcIndex(CORE));
    let lmbs = Span::new(DrcIndex(LMB), connectors - 1).expect("a machine has two connectors");
    machine.add_connectors(Resource::CPU, core).expect("they are new");
    machine.add_connectors(Resource::MEMORY, lmbs).expect("they are new");
    for device in [core, DrcIndex(LMB).into()] {
        machine.plug(device).expect("they are free");
        machine.boot(device.first());
    }
    assert_eq!(machine.set_indicator(&[9100, 0, 0x2001_0006], &mut ()), Status::SUCCESS);
    machine
}

/// Calls that QEMU is measured by too: some change nothing, the last one is not allowed.
const NULL_TRANSITIONS: [([u32; 3], Status); 4] = [
    ([9001, CORE, 1], Status::SUCCESS),
    ([9001, LMB, 1], Status::SUCCESS),
    ([9003, CORE, 1], Status::SUCCESS),
    ([9003, LMB, 0], Status::NO_SUCH_INDICATOR),
];

/// A core leaves and comes back.
const MOVES: [([u32; 3], Status); 4] = [
    ([9001, CORE, 0], Status::SUCCESS),
    ([9003, CORE, 0], Status::SUCCESS),
    ([9003, CORE, 1], Status::SUCCESS),
    ([9001, CORE, 1], Status::SUCCESS),
];

/// Reports about requests that have ended, and arming.
const REPORTS: [([u32; 3], Status); 4] = [
    ([9100, LMB, 0x8610_0007], Status::ALREADY),
    ([9100, CORE, 0xA000_0007], Status::ALREADY),
    ([9100, 0, 0x2001_0006], Status::SUCCESS),
    ([9100, LMB, 0xC000_0000], Status::MALFORMED),
];

fn calls(connectors: u32, calls: &[([u32; 3], Status); 4]) {
    let mut machine = machine(connectors);
    let begun = processor_time();
    let region = Region::new(ALLOCATOR);
    measured(&mut || {
        for (words, status) in (0..ROUNDS).flat_map(|_| calls) {
            assert_eq!(machine.set_indicator(black_box(words), &mut ()), *status);
        }
    });
    assert_eq!(region.change().allocations, 0, "a call has allocated");
    tell(ROUNDS * calls.len() as u64, begun, 0);
}

/// Requests the removal of a DIMM with this number of LMBs, which are given back one by one.
fn release(lmbs: u32) {
    let mut machine = machine(lmbs + 2);
    let dimm = Span::new(DrcIndex(LMB + 1), lmbs).expect("a DIMM has LMBs");
    machine.plug(dimm).expect("it is free");
    machine.boot(dimm.first());
    let mut events: Vec<Event> = Vec::with_capacity(4);
    let begun = processor_time();
    measured(&mut || {
        let requested = machine.request(dimm.first(), &mut events);
        assert!(matches!(requested, Ok(Requested::Ask(_))));
        for index in dimm.indexes() {
            assert_eq!(machine.set_indicator(&[9001, index.0, 0], &mut events), Status::SUCCESS);
            assert_eq!(machine.set_indicator(&[9003, index.0, 0], &mut events), Status::SUCCESS);
        }
    });
    assert!(matches!(events[..], [Event::Ended(_), Event::Deleted(_)]));
    tell(lmbs.into(), begun, 0);
}

/// Adds connectors without a device.
fn create(connectors: u32) {
    let none = Tracker::new(Config::default());
    let region = Region::new(ALLOCATOR);
    let (begun, mut made) = (processor_time(), none.clone());
    let empty = region.change();
    measured(&mut || {
        // One at a time, as VMMs make them.
        for index in 0..connectors {
            made.add_connectors(Resource::MEMORY, DrcIndex(index).into()).expect("they are new");
        }
    });
    let all = region.change();
    let kept = |stats: stats_alloc::Stats| stats.bytes_allocated as isize - stats.bytes_deallocated as isize;
    tell(connectors.into(), begun, kept(all) - kept(empty));
    drop(made);
}
