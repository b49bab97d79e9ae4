// SPDX-License-Identifier: GPL-2.0-only

//! Conversations between the module's logic in a guest and the host crate as its hypervisor.

mod guest;
mod hypervisor;
mod levels;
mod sequences;

use guest::{Arrival, Guest, Plan};
use hypervisor::{Hypervisor, CORE, DIMM, OTHER_DIMM, SECOND};
use papr_unplug::{
    event::{End, Evidence, Outcome},
    wire::{
        drc::DrcIndex,
        offer::{Classes, Features},
        reason::Reason,
        report::Errno,
    },
};
use papr_unplug_guest::logic::{observations::ProbeSet, retry_queue};

const BUSY: Errno = Errno(16);
const REFUSE: Plan = Plan::Refuse(Reason::UNMOVABLE_PAGE, BUSY);
const COVERED: Classes = Classes::IN_KERNEL;

/// Returns the request, reason, connector and evidence of each refusal.
fn refusals(hypervisor: &Hypervisor) -> Vec<(u64, Reason, DrcIndex, Evidence)> {
    let refusal = |outcome: &Outcome| match outcome.end {
        End::Refused(refusal) => {
            Some((outcome.request.0, refusal.reason, refusal.connector, refusal.evidence))
        }
        _ => None,
    };
    hypervisor.outcomes.borrow().iter().filter_map(refusal).collect()
}

/// PUE-G-010, PUE-G-004, PUE-G-011, PUE-G-013, PUE-G-015
#[test]
fn loading_disarms_and_then_arms_what_is_offered_and_kept() {
    let hypervisor = Hypervisor::new();
    Guest::load(&hypervisor);
    assert_eq!(hypervisor.reports(), [0x4000_0000, 0x2003_0046]);
    assert_eq!(hypervisor.armed(), (COVERED, Features::TOKEN | Features::STARTED));

    let less = Hypervisor::offering(Classes::MEMORY | Classes::PHB, Features::TOKEN);
    Guest::load(&less);
    assert_eq!(less.armed(), (Classes::MEMORY, Features::TOKEN));
}

/// PUE-G-011
#[test]
fn guest_that_cannot_see_everything_promises_nothing_and_refuses_by_a_hint() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::boot();
    guest.tracker.arming.discover(&hypervisor.property());
    guest.tracker.promise(ProbeSet(u32::MAX), false);
    guest.settle(&hypervisor);
    hypervisor.device_del(OTHER_DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(hypervisor.reports(), [0x4000_0000]);
    assert_eq!(refusals(&hypervisor), [(1, Reason::UNATTRIBUTED, OTHER_DIMM, Evidence::Inferred)]);
}

/// PUE-G-003
#[test]
fn guest_without_an_offer_reports_nothing() {
    let hypervisor = Hypervisor::offering(Classes::empty(), Features::empty());
    hypervisor.take_no_reports();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(OTHER_DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(hypervisor.reports(), []);
    assert_eq!(hypervisor.hints(), [OTHER_DIMM.0]);
}

/// PUE-G-022, PUE-G-030, PUE-G-032, PUE-G-036, PUE-G-037, PUE-G-039
#[test]
fn refusal_is_told_once_with_its_reason_lmb_and_token_and_no_hint() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    let request = hypervisor.device_del(OTHER_DIMM).unwrap();
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(
        refusals(&hypervisor),
        [(request.0, Reason::UNMOVABLE_PAGE, OTHER_DIMM, Evidence::Token)]
    );
    assert_eq!(hypervisor.reports()[2..], [0x6000_0001, 0x8610_0001]);
    assert_eq!(hypervisor.hints(), []);
    assert_eq!(guest.settle(&hypervisor).len(), 1);
    assert_eq!(guest.tracker.counters.reported, 1);
}

/// PUE-G-030, PUE-G-032
#[test]
fn kernels_own_hint_is_no_outcome_and_the_later_lmb_is_named() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, Plan::Refuse(Reason::MEMORY_VETO, Errno(12)));
    assert_eq!(hypervisor.hints(), [DIMM.0]);
    assert_eq!(refusals(&hypervisor), [(1, Reason::MEMORY_VETO, SECOND, Evidence::Token)]);
}

/// PUE-G-033, PUE-G-034
#[test]
fn success_is_told_after_the_last_connector_and_half_a_success_comes_to_light() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, Plan::Half);
    assert_eq!(refusals(&hypervisor), [(1, Reason::INCOMPLETE, SECOND, Evidence::Token)]);

    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, Plan::Release);
    assert!(matches!(hypervisor.outcomes.borrow()[1].end, End::Released));
    assert_eq!(hypervisor.calls.borrow().last(), Some(&(9142, DIMM.0, 0xA000_0002)));
}

/// PUE-G-022, PUE-G-035
#[test]
fn two_requests_for_one_device_have_each_their_own_answer() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..2 {
        hypervisor.device_del(DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    guest.work(&hypervisor, REFUSE);
    guest.work(&hypervisor, Plan::Refuse(Reason::MEMORY_VETO, BUSY));
    let expected = [
        (1, Reason::UNMOVABLE_PAGE, SECOND, Evidence::Token),
        (2, Reason::MEMORY_VETO, SECOND, Evidence::Token),
    ];
    assert_eq!(refusals(&hypervisor), expected);
}

/// PUE-G-031
#[test]
fn request_that_the_kernel_loses_is_answered_at_once() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(CORE);
    guest.interrupt(&hypervisor, Arrival::Dropped);
    assert_eq!(refusals(&hypervisor), [(1, Reason::DROPPED, CORE, Evidence::Token)]);
}

/// PUE-G-031, PUE-G-035
#[test]
fn lost_request_is_answered_after_the_one_before_it() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for arrival in [Arrival::Queued, Arrival::Dropped, Arrival::Queued, Arrival::Dropped] {
        hypervisor.device_del(DIMM);
        guest.interrupt(&hypervisor, arrival);
    }
    assert_eq!(refusals(&hypervisor), []);
    guest.work(&hypervisor, REFUSE);
    guest.work(&hypervisor, REFUSE);
    let reasons: Vec<_> =
        refusals(&hypervisor).iter().map(|refusal| (refusal.0, refusal.1)).collect();
    let (busy, dropped) = (Reason::UNMOVABLE_PAGE, Reason::DROPPED);
    assert_eq!(reasons, [(1, busy), (2, dropped), (3, busy), (4, dropped)]);
}

/// PUE-G-050
#[test]
fn lost_request_that_is_not_promised_is_refused_by_a_hint() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::boot();
    hypervisor.device_del(CORE);
    guest.interrupt(&hypervisor, Arrival::Dropped);
    assert_eq!(refusals(&hypervisor), [(1, Reason::UNATTRIBUTED, CORE, Evidence::Inferred)]);
}

/// PUE-G-012, PUE-G-031
#[test]
fn attempt_that_no_probe_saw_is_answered_when_its_work_is_done() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, Plan::RefuseUnseen);
    assert_eq!(refusals(&hypervisor), [(1, Reason::UNATTRIBUTED, DIMM, Evidence::Token)]);
    assert_eq!(guest.tracker.counters.unseen, 1);
}

/// PUE-G-012
#[test]
fn request_that_no_probe_saw_come_is_no_longer_promised_and_answered_in_order() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::QueuedUnseen);
    guest.work(&hypervisor, REFUSE);
    // The kernel's hint ends it before the report comes (PUE-V-040).
    assert_eq!(refusals(&hypervisor), [(1, Reason::UNATTRIBUTED, DIMM, Evidence::Inferred)]);
    assert_eq!(hypervisor.armed().0, COVERED);
    assert_eq!(hypervisor.open(), []);
}

/// PUE-G-012: there may be no next event for long.
#[test]
fn request_that_may_be_lost_and_that_no_probe_saw_come_is_no_longer_promised() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    let lost = hypervisor.device_del(DIMM).unwrap();
    let before = hypervisor.reports().len();
    guest.interrupt(&hypervisor, Arrival::DroppedUnseen);
    assert_eq!(hypervisor.reports()[before..], [0x4000_0000, 0x2003_0046]);
    assert_eq!((hypervisor.open(), hypervisor.promised()), (vec![lost], vec![]));

    // The next answer about the device ends both (PUE-V-037).
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(hypervisor.open(), []);
}

/// PUE-G-020, PUE-G-030, PUE-G-031: the kernel takes a request while a probe's handler runs.
#[test]
fn request_that_no_probe_saw_come_is_answered_by_the_token_in_the_log_once_one_was_seen() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for arrival in [Arrival::Queued, Arrival::QueuedUnseen, Arrival::DroppedUnseen] {
        hypervisor.device_del(DIMM);
        guest.interrupt(&hypervisor, arrival);
    }
    assert_eq!(hypervisor.promised().len(), 3);
    while guest.work(&hypervisor, REFUSE).is_some() {}
    let busy = |request| (request, Reason::UNMOVABLE_PAGE, SECOND, Evidence::Token);
    assert_eq!(
        refusals(&hypervisor),
        [busy(1), busy(2), (3, Reason::DROPPED, DIMM, Evidence::Token)]
    );
    assert_eq!(guest.tracker.counters.withdrawn, 0);
}

/// PUE-G-011, PUE-G-012: probes are switched off, which no count of missed calls shows.
#[test]
fn probes_that_are_off_withdraw_the_promise_at_the_next_event_until_they_are_on() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    guest.fires = false;
    hypervisor.device_del(OTHER_DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    assert_eq!(hypervisor.armed().0, Classes::empty());
    guest.work(&hypervisor, REFUSE);
    assert_eq!(guest.tracker.counters.withdrawn, 2);
    guest.reload(&hypervisor);
    assert_eq!(hypervisor.armed().0, Classes::empty());

    guest.fires = true;
    guest.canary(&hypervisor);
    assert_eq!(hypervisor.armed().0, COVERED);
    hypervisor.device_del(OTHER_DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(refusals(&hypervisor).last().map(|refusal| refusal.3), Some(Evidence::Token));
    assert_eq!(hypervisor.open(), []);
}

/// PUE-G-036, PUE-G-045: the request has ended when the module comes to say that nothing is known
/// of it.
#[test]
fn release_that_no_probe_saw_is_counted_as_one_armed_or_not() {
    for armed in [true, false] {
        let hypervisor = Hypervisor::new();
        let mut guest = if armed { Guest::load(&hypervisor) } else { Guest::boot() };
        hypervisor.device_del(OTHER_DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
        guest.work(&hypervisor, Plan::ReleaseUnseen);
        assert_eq!(guest.settle(&hypervisor), []);
        let counters = &guest.tracker.counters;
        assert_eq!((counters.requests, counters.released, counters.refused), (1, 1, 0));
    }
}

/// PUE-G-050: the kernel's hint comes after ARM.
#[test]
fn removal_that_runs_while_the_module_is_loaded_is_not_left_open() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.hang(&hypervisor);
    guest.unload(&hypervisor);
    guest.reload(&hypervisor);
    let before = hypervisor.reports().len();
    guest.give_up(&hypervisor);
    assert_eq!(hypervisor.reports()[before..], [0x4000_0000, 0x2003_0046]);
}

/// PUE-G-012
#[test]
fn more_requests_than_there_is_room_for_withdraw_the_promise_until_all_are_answered() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::boot();
    guest.room = 8;
    guest.reload(&hypervisor);
    let sent = 13;
    for device in [DIMM, OTHER_DIMM, CORE].into_iter().cycle().take(sent) {
        assert!(hypervisor.device_del(device).is_some());
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    assert_eq!(hypervisor.armed().0, Classes::empty());
    assert_eq!(guest.tracker.counters.withdrawn, 1);
    while guest.work(&hypervisor, REFUSE).is_some() {}
    assert_eq!(hypervisor.armed().0, COVERED);
    assert_eq!(hypervisor.open(), []);
    assert_eq!(hypervisor.outcomes.borrow().len(), sent);
}

/// PUE-G-012, PUE-G-022: as many as a hypervisor keeps open for one device.
#[test]
fn thousand_requests_at_once_are_each_answered_by_token() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..1024 {
        assert!(hypervisor.device_del(DIMM).is_some());
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    while guest.work(&hypervisor, REFUSE).is_some() {}
    let by_token = |refusal: &&(u64, Reason, DrcIndex, Evidence)| refusal.3 == Evidence::Token;
    assert_eq!(refusals(&hypervisor).iter().filter(by_token).count(), 1024);
    assert_eq!(guest.tracker.counters.withdrawn, 0);
}

/// PUE-G-031, PUE-G-035: the order is that of the requests for one device.
#[test]
fn lost_request_is_answered_while_the_removal_of_another_device_hangs() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.hang(&hypervisor);
    for (device, arrival) in [
        (DIMM, Arrival::Dropped),
        (CORE, Arrival::Queued),
        (CORE, Arrival::Dropped),
        (OTHER_DIMM, Arrival::Dropped),
    ] {
        hypervisor.device_del(device);
        guest.interrupt(&hypervisor, arrival);
    }
    let dropped = |request, device| (request, Reason::DROPPED, device, Evidence::Token);
    assert_eq!(refusals(&hypervisor), [dropped(5, OTHER_DIMM)]);
    guest.give_up(&hypervisor);
    guest.work(&hypervisor, Plan::Release);
    let order: Vec<_> = refusals(&hypervisor).iter().map(|refusal| refusal.0).collect();
    assert_eq!(order, [5, 1, 2]);
    assert_eq!(hypervisor.open(), []);
}

/// PUE-G-043, PUE-G-035
#[test]
fn busy_firmware_is_asked_again_in_order_and_nothing_overtakes() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..2 {
        hypervisor.device_del(OTHER_DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    hypervisor.busy.set(1);
    guest.work(&hypervisor, REFUSE);
    hypervisor.busy.set(0);
    guest.work(&hypervisor, Plan::Refuse(Reason::MEMORY_VETO, BUSY));
    assert_eq!(refusals(&hypervisor), []);
    hypervisor.busy.set(3);
    guest.settle(&hypervisor);
    assert_eq!(hypervisor.pauses.get(), 3);
    let reasons: Vec<_> =
        refusals(&hypervisor).iter().map(|refusal| (refusal.0, refusal.1)).collect();
    assert_eq!(reasons, [(1, Reason::UNMOVABLE_PAGE), (2, Reason::MEMORY_VETO)]);
    assert_eq!(hypervisor.reports()[2..], [0x6000_0001, 0x8610_0001, 0x6000_0002, 0x8710_0002]);
}

/// PUE-G-012, PUE-G-031: two hints to a hypervisor that still takes the guest for armed would be
/// one.
#[test]
fn requests_lost_before_the_promise_can_be_taken_back_are_each_answered() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..3 {
        hypervisor.device_del(DIMM);
    }
    guest.interrupt(&hypervisor, Arrival::QueuedUnseen);
    hypervisor.busy.set(1);
    guest.interrupt(&hypervisor, Arrival::Dropped);
    guest.interrupt(&hypervisor, Arrival::Dropped);
    guest.settle(&hypervisor);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(hypervisor.open(), []);
    let by_name: Vec<_> =
        refusals(&hypervisor).into_iter().filter(|refusal| refusal.3 == Evidence::Token).collect();
    assert_eq!(by_name.len(), 2, "{by_name:?}");
}

/// PUE-G-012
#[test]
fn answers_that_firmware_takes_too_long_for_are_no_longer_promised() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    let sent = retry_queue::CAPACITY as u32;
    for _ in 0..sent {
        hypervisor.device_del(DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    hypervisor.busy.set(u32::MAX);
    while guest.work(&hypervisor, REFUSE).is_some() {}
    hypervisor.busy.set(0);
    guest.settle(&hypervisor);
    assert_eq!(hypervisor.armed().0, COVERED);
    let counters = &guest.tracker.counters;
    assert_eq!(counters.reported + counters.not_told, u64::from(sent));
    assert!(counters.not_told > 0);
}

/// PUE-G-041, PUE-G-050
#[test]
fn hypervisor_that_has_forgotten_gets_the_hint_and_then_the_promise_again() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(OTHER_DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    hypervisor.forget_what_is_armed();
    guest.work(&hypervisor, REFUSE);
    assert_eq!(hypervisor.outcomes.borrow().len(), 1);
    assert_eq!(hypervisor.hints(), [OTHER_DIMM.0]);
    assert_eq!(hypervisor.calls.borrow().last(), Some(&(9142, 0, 0x2003_0046)));
    assert_eq!(hypervisor.armed().0, COVERED);
}

/// PUE-G-041: its tokens are those of another hypervisor's requests.
#[test]
fn hypervisor_that_has_forgotten_gets_no_token_of_the_one_before() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..2 {
        hypervisor.device_del(OTHER_DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    hypervisor.forget_what_is_armed();
    guest.work(&hypervisor, REFUSE);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(hypervisor.reports().last().map(|word| word & 0xFFFF), Some(0));
}

/// PUE-G-040, PUE-G-050
#[test]
fn hypervisor_that_takes_no_reports_any_more_gets_hints_from_then_on() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..2 {
        hypervisor.device_del(OTHER_DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    hypervisor.take_no_reports();
    guest.work(&hypervisor, REFUSE);
    let reports = hypervisor.reports().len();
    guest.work(&hypervisor, REFUSE);
    guest.unload(&hypervisor);
    assert_eq!(hypervisor.hints(), [OTHER_DIMM.0; 2]);
    assert_eq!(hypervisor.reports().len(), reports);
    assert_eq!(hypervisor.outcomes.borrow().len(), 2);
}

/// PUE-G-023, PUE-G-038, PUE-G-051
#[test]
fn removal_from_inside_the_guest_is_not_reported_and_takes_no_token() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    let before = hypervisor.calls.borrow().len();
    guest.remove_by_hand(&hypervisor);
    assert_eq!(hypervisor.calls.borrow().len(), before);
    guest.work(&hypervisor, REFUSE);
    assert_eq!(refusals(&hypervisor), [(1, Reason::UNMOVABLE_PAGE, SECOND, Evidence::Token)]);
}

/// PUE-G-060, PUE-G-062
#[test]
fn unloading_tells_what_has_ended_before_it_disarms() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(OTHER_DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    hypervisor.busy.set(2);
    guest.work(&hypervisor, REFUSE);
    guest.unload(&hypervisor);
    assert_eq!(hypervisor.reports()[2..], [0x6000_0001, 0x8610_0001, 0x4000_0000]);
    assert_eq!(hypervisor.armed().0, Classes::empty());
}

/// PUE-G-060
#[test]
fn promise_that_was_withdrawn_for_good_is_not_made_again() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.hang(&hypervisor);
    guest.stop(&hypervisor);
    guest.give_up(&hypervisor);
    assert_eq!(hypervisor.armed().0, Classes::empty());
    assert_eq!(hypervisor.outcomes.borrow().len(), 1);
}

/// PUE-G-035: what was queued before is answered in order, and no later request's answer is charged
/// to it.
#[test]
fn request_from_before_the_module_was_loaded_does_not_take_the_token_of_a_later_one() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.unload(&hypervisor);
    guest.reload(&hypervisor);
    hypervisor.device_del(DIMM);
    guest.interrupt(&hypervisor, Arrival::Queued);
    guest.work(&hypervisor, REFUSE);
    guest.work(&hypervisor, Plan::Refuse(Reason::MEMORY_VETO, BUSY));
    let expected = [1, 2].map(|request| (request, Reason::UNATTRIBUTED, DIMM, Evidence::Inferred));
    assert_eq!(refusals(&hypervisor), expected);
}

/// PUE-G-039
#[test]
fn request_that_hangs_is_seen_to_have_started_and_those_behind_it_not() {
    let hypervisor = Hypervisor::new();
    let mut guest = Guest::load(&hypervisor);
    for _ in 0..2 {
        hypervisor.device_del(DIMM);
        guest.interrupt(&hypervisor, Arrival::Queued);
    }
    let begun = guest.hang(&hypervisor);
    assert_eq!(hypervisor.started(), [begun]);
    assert_eq!(hypervisor.open().len(), 2);
}

/// PUE-G-041: the guest is suspended, and resumes where other classes are offered, or nothing.
#[test]
fn offer_of_another_platform_is_armed_anew_and_no_token_of_the_one_before_is_used() {
    let old = Hypervisor::new();
    let mut guest = Guest::load(&old);
    old.device_del(DIMM).unwrap();
    assert!(guest.interrupt(&old, Arrival::Queued));
    let new = Hypervisor::offering(Classes::MEMORY, Features::TOKEN);
    guest.tracker.offer_changes(&new.property());
    guest.settle(&new);
    assert_eq!(new.armed(), (Classes::MEMORY, Features::TOKEN));
    let request = new.device_del(DIMM).unwrap();
    guest.work(&new, Plan::Refuse(Reason::UNATTRIBUTED, Errno(16)));
    assert_eq!(new.reports().last().map(|word| word & 0xFFFF), Some(0));
    assert_eq!(new.open(), [request]);

    guest.tracker.offer_changes(&[]);
    guest.settle(&new);
    assert_eq!(guest.tracker.arming.armed(), (Classes::empty(), Features::empty()));
}
