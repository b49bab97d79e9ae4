// SPDX-License-Identifier: GPL-2.0-only

//! Outcome of a removal: what the guest did, why, and how the hypervisor learns of it.

use super::{cause::Cause, errno, observations::ProbeSet};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{HotplugRequest, Resource, Target},
    reason::Reason,
};

/// Observations of one removal from its beginning to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The result of the removal: 0 or a negative errno.
    pub returned: i32,
    /// The number of connectors that were given back to the hypervisor.
    pub released: u32,
    /// The first connector that firmware did not take back.
    pub unreleased: Option<Failure>,
    /// The last LMB that could not be taken offline. A removal by count goes on to other LMBs.
    pub busy_lmb: Option<Failure>,
    /// The first LMB, or the core, that could not be brought back after another one was busy.
    pub unrestored: Option<Failure>,
    /// The cause that kept the first CPU that could not be taken offline.
    pub stuck_cpu: Option<Cause>,
    /// The number of CPUs that were taken offline.
    pub cpus_offline: u32,
    /// True if a device node could not be detached.
    pub undetached: bool,
    /// True if the kernel unisolated or configured a connector, which signals the refusal.
    pub unisolated: bool,
    /// True if the kernel tried an LMB at all.
    pub lmbs_tried: bool,
    /// The result of the kernel's look for the LMBs.
    pub range: Range,
    /// True if only one CPU is online.
    pub last_online: bool,
    /// The probes that are in force.
    pub probes: ProbeSet,
    /// True if a probe missed a call, so that silence means nothing.
    pub blind: bool,
}

/// Result of the kernel's look for the LMBs of a request by index and count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// The kernel did not look.
    #[default]
    NotAsked,
    /// The kernel found them.
    Found,
    /// The kernel did not find them.
    Missing,
}

/// A connector for which a step failed, and the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The connector.
    pub connector: DrcIndex,
    /// The cause.
    pub cause: Cause,
}

/// The outcome of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest gave back what was requested, now or before.
    Released,
    /// The guest keeps it.
    Refused {
        /// The cause, with the error of the block that was busy, or else of the whole removal.
        cause: Cause,
        /// The connector that refused, if one can be named (PUE-G-032).
        connector: Option<DrcIndex>,
        /// The hint for a hypervisor that takes no reports.
        hint: Hint,
    },
}

/// Hint by which a hypervisor that takes no reports learns of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The kernel has sent the hint. A second one could cancel the hypervisor's next request.
    ByKernel,
    /// The module sends the hint, on this connector.
    On(DrcIndex),
    /// No hint can be sent: no connector is known, or some connectors were released, so that the
    /// hypervisor holds neither the whole device nor nothing. (Stock QEMU aborts when such a device
    /// is hinted at and requested again.)
    Impossible,
}

/// Returns the outcome of a removal that the hypervisor requested.
pub fn classify(request: &HotplugRequest, observed: &Observed) -> Outcome {
    let failure = observed.busy_lmb.or(observed.unreleased);
    let refused = if observed.returned == 0 {
        // The kernel ignores it when firmware does not take an LMB back. A patched one does not, and
        // tries to give back what is not in use, too, which may be the hypervisor's already.
        observed.unreleased.is_some_and(|failure| failure.cause.errno != errno::EPERM)
    } else {
        // The kernel also fails when all is released and only its device tree was not updated.
        observed.unisolated || failure.is_some() || observed.released == 0
    };
    if !refused {
        return Outcome::Released;
    }
    // The connector that refused is the guest's; the first one of the request may not be any more.
    let first = failure.map(|failure| failure.connector).or(request.target().connector());
    let hint = match first {
        _ if observed.unisolated => Hint::ByKernel,
        Some(connector) if observed.released == 0 => Hint::On(connector),
        _ => Hint::Impossible,
    };
    let connector = observed.unrestored.map(|failure| failure.connector).or(first);
    Outcome::Refused { cause: cause(request, observed), connector, hint }
}

/// Returns the cause of a refusal. What was seen comes before what is inferred, and the deeper
/// cause before what it led to (PUE-G-036).
fn cause(request: &HotplugRequest, observed: &Observed) -> Cause {
    let unattributed = Cause::of(Reason::UNATTRIBUTED, observed.returned);
    let cause = observed
        .unrestored
        .map(|failure| failure.cause)
        .or_else(|| bad_request(request, observed).map(|why| Cause::of(why, observed.returned)))
        .or_else(|| too_few_lmbs(request, observed))
        .or(observed.busy_lmb.map(|failure| failure.cause))
        .or_else(|| stuck_cpu(observed))
        .or(observed.unreleased.map(|failure| failure.cause))
        .or_else(|| untried(request, observed))
        .unwrap_or(unattributed);
    if cause.by_exclusion && observed.blind {
        Cause { errno: cause.errno, ..unattributed }
    } else {
        cause
    }
}

/// Returns the reason if the request itself can never succeed.
fn bad_request(request: &HotplugRequest, observed: &Observed) -> Option<Reason> {
    match (request.resource, request.target()) {
        (Resource::MEMORY, _) if observed.returned == errno::EOPNOTSUPP => {
            Some(Reason::UNSUPPORTED)
        }
        (Resource::MEMORY, Target::Count(0) | Target::IndexedCount { count: 0, .. }) => {
            Some(Reason::MALFORMED)
        }
        (Resource::MEMORY, Target::Other(_)) => Some(Reason::UNSUPPORTED),
        (Resource::MEMORY, _) | (Resource::CPU, Target::Index(_)) => None,
        // Where there is no persistent memory, the kernel looks no further.
        (Resource::PMEM, Target::Index(_)) => None,
        (Resource::PMEM, _) if observed.returned == errno::ENODEV => None,
        _ => Some(Reason::UNSUPPORTED),
    }
}

/// Returns the one cause for which a removal by count ends, whichever LMBs were busy.
fn too_few_lmbs(request: &HotplugRequest, observed: &Observed) -> Option<Cause> {
    let by_count =
        request.resource == Resource::MEMORY && matches!(request.target(), Target::Count(_));
    (by_count && observed.returned == errno::EINVAL).then(|| {
        let unattributed = Cause::of(Reason::UNATTRIBUTED, observed.returned);
        let cause = observed.busy_lmb.map_or(unattributed, |failure| failure.cause);
        Cause { reason: Reason::NOT_ENOUGH_LMBS, by_exclusion: false, ..cause }
    })
}

fn stuck_cpu(observed: &Observed) -> Option<Cause> {
    observed.stuck_cpu.map(|cause| match observed.cpus_offline {
        0 => cause,
        _ => Cause { reason: Reason::CORE_PARTLY_OFFLINE, by_exclusion: false, ..cause },
    })
}

/// Returns the cause if nothing was tried, or nothing that was tried failed.
fn untried(request: &HotplugRequest, observed: &Observed) -> Option<Cause> {
    let returned = observed.returned;
    let no_lmb_tried = observed.probes.contains(ProbeSet::LMBS) && !observed.lmbs_tried;
    match request.resource {
        Resource::CPU | Resource::PMEM if returned == errno::ENODEV => {
            Some(Cause::of(Reason::NO_SUCH_RESOURCE, returned))
        }
        Resource::PMEM if observed.undetached => Some(Cause::of(Reason::DETACH_FAILED, returned)),
        // The core was given back, and only the device tree still has it.
        Resource::CPU if observed.released != 0 => Some(Cause::of(Reason::DETACH_FAILED, returned)),
        // The kernel counts the online CPUs before it touches one, and went no further.
        Resource::CPU if returned == errno::EINVAL && observed.last_online => {
            match observed.cpus_offline {
                0 => Some(Cause::of(Reason::LAST_CPU, errno::EBUSY)),
                _ => Some(Cause::of(Reason::CORE_PARTLY_OFFLINE, errno::EBUSY)),
            }
        }
        Resource::MEMORY if observed.range == Range::Missing => {
            Some(Cause::of(Reason::NO_SUCH_RESOURCE, returned))
        }
        Resource::MEMORY if returned == errno::EINVAL && no_lmb_tried => {
            match (request.target(), observed.range) {
                (Target::Index(_), _) => {
                    Some(Cause::by_exclusion(Reason::NO_SUCH_RESOURCE, returned))
                }
                // The LMBs exist, and the kernel came to none of them.
                (Target::IndexedCount { .. }, Range::Found) => {
                    Some(Cause::by_exclusion(Reason::LMB_RESERVED, returned))
                }
                _ => None,
            }
        }
        _ if returned == errno::ENOMEM => Some(Cause::of(Reason::NO_MEMORY, returned)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    const LMB: DrcIndex = DrcIndex(0x8000_0009);
    const EBUSY: i32 = -16;
    const EINVAL: i32 = -22;

    fn request(bytes: [u8; 12]) -> HotplugRequest {
        HotplugRequest::from_bytes(&bytes).unwrap()
    }

    fn dimm() -> HotplugRequest {
        request([2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8])
    }

    fn by_count() -> HotplugRequest {
        request([2, 2, 3, 0, 0, 0, 0, 2, 0, 0, 0, 0])
    }

    fn by_index(resource: u8) -> HotplugRequest {
        request([resource, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0])
    }

    fn failure(reason: Reason, errno: i32) -> Option<Failure> {
        Some(Failure { connector: LMB, cause: Cause::of(reason, errno) })
    }

    fn busy() -> Option<Failure> {
        failure(Reason::UNMOVABLE_PAGE, EBUSY)
    }

    fn unreleased() -> Option<Failure> {
        failure(Reason::FIRMWARE_REFUSED, -5)
    }

    /// The errno of a refusal, and how it is told.
    fn refused(request: &HotplugRequest, observed: &Observed) -> Option<(i32, Hint)> {
        match classify(request, observed) {
            Outcome::Refused { cause, hint, .. } => Some((cause.errno, hint)),
            Outcome::Released => None,
        }
    }

    /// The reason of a refusal, and the connector that refused.
    fn why(request: &HotplugRequest, observed: &Observed) -> Option<(Reason, Option<DrcIndex>)> {
        match classify(request, observed) {
            Outcome::Refused { cause, connector, .. } => Some((cause.reason, connector)),
            Outcome::Released => None,
        }
    }

    #[test]
    fn removal_that_returns_zero_is_released() {
        let observed = Observed { released: 2, ..Observed::default() };
        assert_eq!(classify(&dimm(), &observed), Outcome::Released);
    }

    #[test]
    fn removal_of_what_was_given_back_before_is_released() {
        assert_eq!(classify(&dimm(), &Observed::default()), Outcome::Released);
    }

    #[test]
    fn dimm_with_a_busy_lmb_is_signalled_on_its_connector_with_its_errno() {
        let observed = Observed { returned: EINVAL, busy_lmb: busy(), ..Observed::default() };
        assert_eq!(refused(&dimm(), &observed), Some((EBUSY, Hint::On(LMB))));
    }

    #[test]
    fn dimm_that_was_not_tried_is_signalled_on_its_first_connector() {
        let observed = Observed { returned: EINVAL, ..Observed::default() };
        let hint = Hint::On(DrcIndex(0x8000_0008));
        assert_eq!(refused(&dimm(), &observed), Some((EINVAL, hint)));
    }

    #[test]
    fn dimm_with_a_busy_later_lmb_was_told_by_the_kernel() {
        let observed = Observed {
            returned: EINVAL,
            busy_lmb: busy(),
            unisolated: true,
            ..Observed::default()
        };
        assert_eq!(refused(&dimm(), &observed), Some((EBUSY, Hint::ByKernel)));
    }

    #[test]
    fn cpu_that_stays_online_was_told_by_the_kernel() {
        let cpu = request([1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0]);
        let observed = Observed { returned: EINVAL, unisolated: true, ..Observed::default() };
        assert_eq!(refused(&cpu, &observed), Some((EINVAL, Hint::ByKernel)));
    }

    #[test]
    fn pmem_that_cannot_be_detached_is_signalled() {
        let pmem = request([6, 2, 2, 0, 0x90, 0, 0, 1, 0, 0, 0, 0]);
        let observed = Observed { returned: -19, ..Observed::default() };
        assert_eq!(refused(&pmem, &observed), Some((-19, Hint::On(DrcIndex(0x9000_0001)))));
    }

    #[test]
    fn removal_by_count_is_signalled_on_the_lmb_that_was_busy() {
        let observed = Observed { returned: EINVAL, busy_lmb: busy(), ..Observed::default() };
        assert_eq!(refused(&by_count(), &observed), Some((EBUSY, Hint::On(LMB))));
    }

    #[test]
    fn removal_by_count_that_found_no_lmb_to_try_cannot_be_signalled() {
        let observed = Observed { returned: EINVAL, ..Observed::default() };
        assert_eq!(refused(&by_count(), &observed), Some((EINVAL, Hint::Impossible)));
    }

    #[test]
    fn removal_by_count_that_met_a_busy_lmb_and_found_others_is_released() {
        let observed = Observed { released: 2, busy_lmb: busy(), ..Observed::default() };
        assert_eq!(classify(&by_count(), &observed), Outcome::Released);
    }

    #[test]
    fn released_dimm_whose_device_tree_update_failed_is_released() {
        let observed = Observed { returned: -12, released: 2, ..Observed::default() };
        assert_eq!(classify(&dimm(), &observed), Outcome::Released);
    }

    #[test]
    fn dimm_that_firmware_does_not_take_back_is_signalled_though_the_kernel_returned_zero() {
        let observed = Observed { unreleased: unreleased(), ..Observed::default() };
        assert_eq!(refused(&dimm(), &observed), Some((-5, Hint::On(LMB))));
    }

    #[test]
    fn dimm_that_firmware_takes_back_in_part_is_not_signalled() {
        let observed = Observed { released: 1, unreleased: unreleased(), ..Observed::default() };
        assert_eq!(refused(&dimm(), &observed), Some((-5, Hint::Impossible)));
    }

    /// `packaging/linux/removal` tries to give back LMBs that are not in use as well.
    #[test]
    fn dimm_of_which_an_lmb_was_the_hypervisors_already_is_released() {
        let unreleased = failure(Reason::FIRMWARE_REFUSED, errno::EPERM);
        let observed = Observed { released: 1, unreleased, ..Observed::default() };
        assert_eq!(classify(&dimm(), &observed), Outcome::Released);
        let observed = Observed { returned: EINVAL, released: 0, ..observed };
        assert_eq!(refused(&by_index(2), &observed), Some((errno::EPERM, Hint::On(LMB))));
    }

    /// Every combination of evidence, for every way to name a connector.
    fn everything() -> Vec<(HotplugRequest, Observed)> {
        let mut all = vec![];
        for identifier_type in 0..=5 {
            let by = request([2, 2, identifier_type, 0, 0, 0, 0, 2, 0x80, 0, 0, 8]);
            for bits in 0..32 {
                let has = |bit: u32| bits & (1 << bit) != 0;
                let observed = Observed {
                    returned: if has(0) { EINVAL } else { 0 },
                    released: u32::from(has(1)),
                    unreleased: busy().filter(|_| has(2)),
                    busy_lmb: busy().filter(|_| has(3)),
                    unisolated: has(4),
                    ..Observed::default()
                };
                all.push((by, observed));
            }
        }
        all
    }

    #[test]
    fn nothing_is_signalled_after_the_kernel_signalled_or_a_connector_was_released() {
        let signalled = everything().into_iter().filter(|(request, observed)| {
            matches!(classify(request, observed), Outcome::Refused { hint: Hint::On(_), .. })
        });
        let mut count = 0;
        for (_, observed) in signalled {
            assert!(!observed.unisolated && observed.released == 0, "{observed:?}");
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn failed_removal_that_released_nothing_is_always_refused_with_an_errno() {
        for (request, observed) in everything()
            .iter()
            .filter(|(_, observed)| observed.returned != 0 && observed.released == 0)
        {
            assert!(refused(request, observed).is_some_and(|(errno, _)| errno < 0), "{observed:?}");
        }
    }

    const ALL: ProbeSet = ProbeSet(u32::MAX);

    fn failed(returned: i32) -> Observed {
        Observed { returned, probes: ALL, ..Observed::default() }
    }

    /// PUE-G-036, PUE-G-032
    #[test]
    fn busy_lmb_has_its_own_reason_and_connector() {
        let observed = Observed { busy_lmb: busy(), lmbs_tried: true, ..failed(EINVAL) };
        assert_eq!(why(&dimm(), &observed), Some((Reason::UNMOVABLE_PAGE, Some(LMB))));
        let observed = Observed { unrestored: failure(Reason::ROLLBACK_FAILED, -12), ..observed };
        assert_eq!(why(&dimm(), &observed), Some((Reason::ROLLBACK_FAILED, Some(LMB))));
    }

    /// PUE-G-036
    #[test]
    fn request_that_the_kernel_cannot_understand_is_unsupported_or_malformed() {
        let reason =
            |bytes, returned| why(&request(bytes), &failed(returned)).map(|(reason, _)| reason);
        let no_lmbs = [2, 2, 4, 0, 0, 0, 0, 0, 0x80, 0, 0, 8];
        assert_eq!(reason(no_lmbs, EINVAL), Some(Reason::MALFORMED));
        assert_eq!(reason([2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], -95), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([1, 2, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([6, 2, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
        assert_eq!(
            reason([6, 2, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0], -19),
            Some(Reason::NO_SUCH_RESOURCE)
        );
        assert_eq!(reason([9, 2, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
    }

    /// PUE-G-036
    #[test]
    fn resource_that_the_kernel_does_not_find_is_no_such_resource() {
        let index = Some(DrcIndex(0x1000_0001));
        assert_eq!(why(&by_index(1), &failed(-19)), Some((Reason::NO_SUCH_RESOURCE, index)));
        assert_eq!(why(&by_index(6), &failed(-19)), Some((Reason::NO_SUCH_RESOURCE, index)));
        assert_eq!(why(&by_index(2), &failed(EINVAL)), Some((Reason::NO_SUCH_RESOURCE, index)));
        let observed = Observed { range: Range::Missing, ..failed(EINVAL) };
        assert_eq!(
            why(&dimm(), &observed).map(|(reason, _)| reason),
            Some(Reason::NO_SUCH_RESOURCE)
        );
    }

    /// PUE-G-036
    #[test]
    fn lmbs_that_are_there_and_are_not_tried_are_reserved() {
        let observed = Observed { range: Range::Found, ..failed(EINVAL) };
        assert_eq!(
            why(&dimm(), &observed),
            Some((Reason::LMB_RESERVED, Some(DrcIndex(0x8000_0008))))
        );
    }

    /// PUE-G-036
    #[test]
    fn what_is_inferred_counts_only_if_every_call_was_observed() {
        let observed = Observed { range: Range::Found, blind: true, ..failed(EINVAL) };
        assert_eq!(why(&dimm(), &observed).map(|(reason, _)| reason), Some(Reason::UNATTRIBUTED));
        let observed = Observed { probes: ProbeSet::default(), blind: false, ..observed };
        assert_eq!(why(&dimm(), &observed).map(|(reason, _)| reason), Some(Reason::UNATTRIBUTED));
    }

    /// PUE-G-036
    #[test]
    fn last_cpu_is_known_by_the_number_that_is_online() {
        let observed = Observed { last_online: true, unisolated: true, ..failed(EINVAL) };
        assert_eq!(refused(&by_index(1), &observed), Some((EBUSY, Hint::ByKernel)));
        assert_eq!(why(&by_index(1), &observed).map(|(reason, _)| reason), Some(Reason::LAST_CPU));
        let observed = Observed { cpus_offline: 1, ..observed };
        assert_eq!(
            why(&by_index(1), &observed).map(|(reason, _)| reason),
            Some(Reason::CORE_PARTLY_OFFLINE)
        );
        let observed = Observed { last_online: false, ..failed(EINVAL) };
        assert_eq!(
            why(&by_index(1), &observed).map(|(reason, _)| reason),
            Some(Reason::UNATTRIBUTED)
        );
    }

    /// PUE-G-036
    #[test]
    fn thread_that_refuses_after_another_went_leaves_the_core_partly_offline() {
        let stuck_cpu = Some(Cause::of(Reason::CPU_VETO, -11));
        let observed = Observed { stuck_cpu, ..failed(EINVAL) };
        assert_eq!(why(&by_index(1), &observed).map(|(reason, _)| reason), Some(Reason::CPU_VETO));
        let observed = Observed { cpus_offline: 3, ..observed };
        assert_eq!(
            why(&by_index(1), &observed).map(|(reason, _)| reason),
            Some(Reason::CORE_PARTLY_OFFLINE)
        );
        assert_eq!(refused(&by_index(1), &observed).map(|(errno, _)| errno), Some(-11));
    }

    /// PUE-G-036
    #[test]
    fn release_that_firmware_or_the_device_tree_refuses_is_told_apart() {
        let observed = Observed { unreleased: unreleased(), unisolated: true, ..failed(-1) };
        assert_eq!(
            why(&by_index(1), &observed).map(|(reason, _)| reason),
            Some(Reason::FIRMWARE_REFUSED)
        );
        let observed = Observed { released: 1, unisolated: true, ..failed(-12) };
        assert_eq!(
            why(&by_index(1), &observed).map(|(reason, _)| reason),
            Some(Reason::DETACH_FAILED)
        );
        let observed = Observed { undetached: true, ..failed(EINVAL) };
        assert_eq!(
            why(&by_index(6), &observed).map(|(reason, _)| reason),
            Some(Reason::DETACH_FAILED)
        );
        assert_eq!(
            why(&by_index(6), &failed(-12)).map(|(reason, _)| reason),
            Some(Reason::NO_MEMORY)
        );
    }

    /// PUE-G-036
    #[test]
    fn removal_by_count_has_too_few_lmbs_whichever_was_busy() {
        let observed = Observed { busy_lmb: busy(), lmbs_tried: true, ..failed(EINVAL) };
        assert_eq!(why(&by_count(), &observed), Some((Reason::NOT_ENOUGH_LMBS, Some(LMB))));
        assert_eq!(why(&by_count(), &failed(EINVAL)), Some((Reason::NOT_ENOUGH_LMBS, None)));
    }
}
