// SPDX-License-Identifier: MIT OR Apache-2.0

//! Allocations of a guest's call: none.

use papr_unplug::{
    Config, Offer, Span, Tracker,
    event::{Event, Events, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{Indicator, Status},
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Counts events, so that only the crate can allocate.
#[derive(Default)]
struct Count(usize);

impl Events for Count {
    fn tell(&mut self, _: Event) {
        self.0 += 1;
    }
}

/// PUE-V-090: no call of a guest allocates. This is one test, because the allocator counts for all threads.
#[test]
fn guest_call_allocates_nothing() {
    let offer = Offer::new(Indicator(9100), Classes::MEMORY, Features::TOKEN);
    let mut machine = Tracker::new(Config::default().offer(offer));
    let dimm = Span::new(DrcIndex(0x8000_0000), 64).unwrap();
    machine.add_connectors(Resource::MEMORY, dimm).unwrap();
    machine.plug(dimm).unwrap();
    machine.boot(dimm.first());
    assert_eq!(machine.set_indicator(&[9100, 0, 0x2001_0004], &mut ()), Status::SUCCESS);
    for _ in 0..2 {
        assert!(matches!(machine.request(dimm.first(), &mut ()), Ok(Requested::Ask(_))));
    }

    let (region, mut events) = (Region::new(ALLOCATOR), Count::default());
    // Reports: begun, refused, told again, malformed, about nothing, and an arming that withdraws nothing.
    for word in [0x6000_0001, 0x8610_0001, 0x8610_0001, 0xE000_0000, 0x8610_7777, 0x2001_0004] {
        let index = if word >> 29 == 1 { 0 } else { dimm.first().0 };
        machine.set_indicator(&[9100, index, word], &mut events);
    }
    for index in dimm.indexes() {
        // A hint, then the LMB is given back; the last one deletes the device.
        for words in [[9001, index.0, 1], [9001, index.0, 0], [9003, index.0, 0]] {
            assert_eq!(machine.set_indicator(&words, &mut events), Status::SUCCESS);
            machine.get_sensor_state(&[9003, index.0]);
        }
        assert!(!machine.configure(index, &mut events).is_success());
    }
    assert_eq!(region.change().allocations, 0);
    // Refused, released, deleted.
    assert_eq!(events.0, 3);
    assert_eq!(machine.device(dimm.first()), None);
}
