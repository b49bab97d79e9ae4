// SPDX-License-Identifier: GPL-2.0-only

//! Guests of different levels, whose hypervisors are two trackers in one process.

use crate::{
    guest::{Arrival, Guest, Plan},
    hypervisor::{Hypervisor, DIMM, OTHER_DIMM, SECOND},
    refusals, REFUSE,
};
use papr_unplug::{event::Evidence, wire::reason::Reason};
use papr_unplug_guest::logic::observations::ProbeSet;

/// PUE-V-030, PUE-V-040, PUE-G-050: neither learns anything of the other's requests, tokens or
/// promise.
#[test]
fn armed_guest_and_guest_of_level_0_on_one_host_are_each_told_right() {
    let machines = [Hypervisor::new(), Hypervisor::new()];
    let mut armed = Guest::load(&machines[0]);
    let mut hinting = Guest::boot();
    hinting.tracker.promise(ProbeSet(u32::MAX), false);
    hinting.settle(&machines[1]);

    for device in [OTHER_DIMM, DIMM] {
        let asked = machines.each_ref().map(|machine| machine.device_del(device).unwrap());
        assert_eq!(asked[0], asked[1], "each machine counts for itself");
        for (guest, machine) in [(&mut hinting, &machines[1]), (&mut armed, &machines[0])] {
            guest.interrupt(machine, Arrival::Queued);
        }
        for (guest, machine) in [(&mut armed, &machines[0]), (&mut hinting, &machines[1])] {
            guest.work(machine, REFUSE);
            guest.settle(machine);
        }
    }

    let reported = [
        (1, Reason::UNMOVABLE_PAGE, OTHER_DIMM, Evidence::Token),
        (2, Reason::UNMOVABLE_PAGE, SECOND, Evidence::Token),
    ];
    assert_eq!(refusals(&machines[0]), reported);
    // The second is hinted at by the kernel itself, at the LMB that it had taken already.
    let inferred = [
        (1, Reason::UNATTRIBUTED, OTHER_DIMM, Evidence::Inferred),
        (2, Reason::UNATTRIBUTED, DIMM, Evidence::Inferred),
    ];
    assert_eq!(refusals(&machines[1]), inferred);
    assert_eq!(machines[1].reports(), []);

    let released = machines[0].device_del(OTHER_DIMM).unwrap();
    armed.interrupt(&machines[0], Arrival::Queued);
    assert_eq!(armed.work(&machines[0], Plan::Release), Some(released));
    assert_eq!((machines[0].open(), machines[1].open()), (vec![], vec![]));
    assert!(machines[1].device_del(OTHER_DIMM).is_some());
}
