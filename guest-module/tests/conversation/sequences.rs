// SPDX-License-Identifier: GPL-2.0-only

//! Random sequences of requests and events: each request has one outcome, and the right one.

use crate::{
    guest::{Arrival, Guest, Plan},
    hypervisor::{Hypervisor, CORE, DIMM, OTHER_DIMM},
};
use papr_unplug::{
    event::{End, Evidence},
    wire::{drc::DrcIndex, reason::Reason, report::Errno},
};
use proptest::prelude::*;
use std::collections::HashMap;

/// One step of a sequence.
#[derive(Clone, Copy, Debug)]
enum Step {
    DeviceDel(DrcIndex),
    Interrupt(Arrival),
    Work(Plan),
    Settle,
    Busy(u32),
    Forget,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let device = prop::sample::select(vec![DIMM, OTHER_DIMM, CORE]);
    prop_oneof![
        6 => device.prop_map(Step::DeviceDel),
        6 => prop_oneof![
            6 => Just(Arrival::Queued),
            2 => Just(Arrival::Dropped),
            1 => Just(Arrival::QueuedUnseen),
            1 => Just(Arrival::DroppedUnseen),
        ].prop_map(Step::Interrupt),
        6 => plan().prop_map(Step::Work),
        2 => Just(Step::Settle),
        1 => (1..4_u32).prop_map(Step::Busy),
        1 => Just(Step::Forget),
        1 => Just(Step::Reload),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let reason = prop::sample::select(vec![
        Reason::UNMOVABLE_PAGE,
        Reason::MEMORY_VETO,
        Reason::UNATTRIBUTED,
    ]);
    prop_oneof![
        8 => (reason, 1..=133_u8).prop_map(|(reason, errno)| {
            // Isolation fails with one errno only.
            Plan::Refuse(reason, if reason == Reason::UNMOVABLE_PAGE { Errno(16) } else { Errno(errno) })
        }),
        2 => Just(Plan::RefuseUnseen),
        1 => Just(Plan::Release),
        1 => Just(Plan::Half),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// PUE-G-012, PUE-G-022, PUE-G-030, PUE-G-031, PUE-G-034, PUE-G-035, PUE-G-037
    #[test]
    fn every_request_has_one_outcome_and_an_answer_by_token_is_its_own(
        has_threads: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let hypervisor = Hypervisor::new();
        let mut guest = Guest::load(&hypervisor);
        guest.has_threads = has_threads;
        let mut sent = 0;
        let forgot = steps.iter().any(|step| matches!(step, Step::Forget));
        let mut plans = HashMap::new();
        let mut lost_unseen = 0;
        for step in steps {
            match step {
                Step::DeviceDel(device) => sent += usize::from(hypervisor.device_del(device).is_some()),
                Step::Interrupt(arrival) => {
                    let is_known = guest.knows_the_log;
                    let is_lost = arrival == Arrival::DroppedUnseen && (!is_known || has_threads);
                    lost_unseen += usize::from(guest.interrupt(&hypervisor, arrival) && is_lost);
                }
                Step::Work(plan) => {
                    // The kernel's own calls wait until firmware is not busy, and the module's
                    // worker runs meanwhile.
                    hypervisor.busy.set(0);
                    guest.settle(&hypervisor);
                    if let Some(request) = guest.work(&hypervisor, plan) {
                        plans.insert(request.0, plan);
                    }
                }
                Step::Settle => { guest.settle(&hypervisor); }
                Step::Busy(calls) => hypervisor.busy.set(calls),
                Step::Forget => hypervisor.forget_what_is_armed(),
                Step::Reload => {
                    guest.unload(&hypervisor);
                    guest.reload(&hypervisor);
                }
            }
        }
        hypervisor.busy.set(0);
        guest.settle(&hypervisor);
        while guest.interrupt(&hypervisor, Arrival::Queued) {}
        while let Some(request) = guest.work(&hypervisor, Plan::Refuse(Reason::MEMORY_VETO, Errno(1))) {
            plans.insert(request.0, Plan::Refuse(Reason::MEMORY_VETO, Errno(1)));
        }
        guest.settle(&hypervisor);

        // What was lost unseen stays, and is not promised. What the kernel takes for a success, or
        // went by unseen, has no hint, and what was given back in part may have no connector for
        // one: a hypervisor that has forgotten what is armed cannot be told of it.
        prop_assert!(forgot || hypervisor.open().len() <= lost_unseen, "{:?}", hypervisor.open());
        prop_assert_eq!(hypervisor.promised(), []);
        prop_assert_eq!(hypervisor.outcomes.borrow().len() + hypervisor.open().len(), sent);
        for outcome in hypervisor.outcomes.borrow().iter() {
            let End::Refused(refusal) = outcome.end else { continue };
            let known = (refusal.evidence == Evidence::Token).then_some((refusal.reason, refusal.errno));
            match (known, plans.get(&outcome.request.0)) {
                (Some(told), Some(Plan::Refuse(reason, errno))) => prop_assert_eq!(told, (*reason, *errno)),
                (Some(told), None) => prop_assert_eq!(told, (Reason::DROPPED, Errno(12))),
                _ => {}
            }
        }
    }
}
