// SPDX-License-Identifier: GPL-2.0-only

//! The judgement: what a removal came to, why, and whom to tell.

use super::{
    cause::Cause,
    clues::{errno, Senses},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{HotplugRequest, Resource, Target},
    reason::Reason,
};

/// What was seen of one removal between its entry and its return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What the removal returned: 0 or a negative errno.
    pub returned: i32,
    /// How many connectors were given back to the hypervisor.
    pub released: u32,
    /// The first connector that should have been given back and was not, and why.
    pub unreleased: Option<Failure>,
    /// The last LMB that could not be taken offline, and why. A removal by count goes on to other LMBs after one.
    pub busy_lmb: Option<Failure>,
    /// The first LMB that could not be put back after another one was busy.
    pub unrestored: Option<Failure>,
    /// Why the first CPU that could not be taken offline stayed.
    pub stuck_cpu: Option<Cause>,
    /// How many CPUs were taken offline.
    pub cpus_offline: u32,
    /// Whether a device node could not be detached.
    pub undetached: bool,
    /// Whether the kernel unisolated a connector to signal the refusal, as it does in some cases.
    pub unisolated: bool,
    /// Whether the kernel came to an LMB at all.
    pub lmbs_tried: bool,
    /// Whether the LMBs were there.
    pub range: Range,
    /// Whether only one CPU is online.
    pub last_online: bool,
    /// What could be seen.
    pub senses: Senses,
    /// Whether a call went by unseen meanwhile, so that silence says nothing.
    pub blind: bool,
}

/// Whether the LMBs of a request by index and count were there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// The kernel did not look.
    #[default]
    NotAsked,
    /// They were.
    Found,
    /// They were not.
    Missing,
}

impl Range {
    /// The one with this discriminant.
    pub fn of(discriminant: u8) -> Self {
        match discriminant {
            1 => Self::Found,
            2 => Self::Missing,
            _ => Self::NotAsked,
        }
    }
}

/// A connector that something could not be done to, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The connector.
    pub connector: DrcIndex,
    /// Why.
    pub cause: Cause,
}

/// What a removal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guest gave back what it was asked for, or had given it back before.
    Released,
    /// The guest keeps it.
    Refused {
        /// Why; the error of the block that was busy if there was one, else that of the whole removal.
        cause: Cause,
        /// The connector that refused, if one can be named (PUE-G-032).
        connector: Option<DrcIndex>,
        /// How the hypervisor learns of it if it takes no reports.
        telling: Telling,
    },
}

/// How the hypervisor learns of a refusal without a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// The kernel did it already. A second signal could cancel the hypervisor's next request.
    Done,
    /// It is to be signalled, on this connector.
    Signal(DrcIndex),
    /// It cannot be: the request named no connector and none was seen to fail, or some connectors were released, so
    /// that what the hypervisor holds is neither the whole device nor nothing. (Stock QEMU aborts when a device of
    /// which it holds only a part is signalled and asked for again.)
    Impossible,
}

/// Judges a removal that the hypervisor asked for.
pub fn judge(asked: &HotplugRequest, seen: &Evidence) -> Verdict {
    let failure = seen.busy_lmb.or(seen.unreleased);
    let refused = if seen.returned == 0 {
        // The kernel ignores it when firmware does not take an LMB back.
        seen.unreleased.is_some()
    } else {
        // The kernel also fails a removal when all is released and only its own device tree could not be updated.
        seen.unisolated || failure.is_some() || seen.released == 0
    };
    if !refused {
        return Verdict::Released;
    }
    // The connector that refused is the guest's; the first one of the request need not be, any more.
    let first = failure.map(|failure| failure.connector).or(asked.target().connector());
    let telling = match first {
        _ if seen.unisolated => Telling::Done,
        Some(connector) if seen.released == 0 => Telling::Signal(connector),
        _ => Telling::Impossible,
    };
    let connector = seen.unrestored.map(|failure| failure.connector).or(first);
    Verdict::Refused { cause: cause(asked, seen), connector, telling }
}

/// Why it was refused. What was seen comes before what is inferred, and what is deeper before what came of it
/// (PUE-G-036).
fn cause(asked: &HotplugRequest, seen: &Evidence) -> Cause {
    let unattributed = Cause::of(Reason::UNATTRIBUTED, seen.returned);
    let cause = seen
        .unrestored
        .map(|failure| failure.cause)
        .or_else(|| asked_wrongly(asked, seen).map(|reason| Cause::of(reason, seen.returned)))
        .or_else(|| too_few(asked, seen))
        .or(seen.busy_lmb.map(|failure| failure.cause))
        .or_else(|| stuck_cpu(seen))
        .or(seen.unreleased.map(|failure| failure.cause))
        .or_else(|| untried(asked, seen))
        .unwrap_or(unattributed);
    if cause.by_exclusion && seen.blind {
        Cause { errno: cause.errno, ..unattributed }
    } else {
        cause
    }
}

/// What the request itself rules out.
fn asked_wrongly(asked: &HotplugRequest, seen: &Evidence) -> Option<Reason> {
    match (asked.resource, asked.target()) {
        (Resource::MEMORY, _) if seen.returned == errno::EOPNOTSUPP => Some(Reason::UNSUPPORTED),
        (Resource::MEMORY, Target::Count(0) | Target::IndexedCount { count: 0, .. }) => Some(Reason::MALFORMED),
        (Resource::MEMORY, Target::Other(_)) => Some(Reason::UNSUPPORTED),
        (Resource::MEMORY, _) | (Resource::CPU, Target::Index(_)) => None,
        // Where there is no persistent memory, the kernel looks no further.
        (Resource::PMEM, Target::Index(_)) => None,
        (Resource::PMEM, _) if seen.returned == errno::ENODEV => None,
        _ => Some(Reason::UNSUPPORTED),
    }
}

/// A removal by count ends for one reason only, whichever LMBs were busy.
fn too_few(asked: &HotplugRequest, seen: &Evidence) -> Option<Cause> {
    let by_count = asked.resource == Resource::MEMORY && matches!(asked.target(), Target::Count(_));
    (by_count && seen.returned == errno::EINVAL).then(|| {
        let place =
            seen.busy_lmb.map(|failure| failure.cause).unwrap_or(Cause::of(Reason::UNATTRIBUTED, seen.returned));
        Cause { reason: Reason::NOT_ENOUGH_LMBS, by_exclusion: false, ..place }
    })
}

fn stuck_cpu(seen: &Evidence) -> Option<Cause> {
    seen.stuck_cpu.map(|cause| match seen.cpus_offline {
        0 => cause,
        _ => Cause { reason: Reason::CORE_PARTLY_OFFLINE, by_exclusion: false, ..cause },
    })
}

/// What is left if nothing was tried, or nothing that was tried failed.
fn untried(asked: &HotplugRequest, seen: &Evidence) -> Option<Cause> {
    let returned = seen.returned;
    match asked.resource {
        Resource::CPU | Resource::PMEM if returned == errno::ENODEV => {
            Some(Cause::of(Reason::NO_SUCH_RESOURCE, returned))
        }
        Resource::PMEM if seen.undetached => Some(Cause::of(Reason::DETACH_FAILED, returned)),
        // The core was given back, and only the device tree still has it.
        Resource::CPU if seen.released != 0 => Some(Cause::of(Reason::DETACH_FAILED, returned)),
        // The kernel looks at the number of CPUs online before it touches one; no more than that has happened.
        Resource::CPU if returned == errno::EINVAL && seen.last_online => match seen.cpus_offline {
            0 => Some(Cause::of(Reason::LAST_CPU, errno::EBUSY)),
            _ => Some(Cause::of(Reason::CORE_PARTLY_OFFLINE, errno::EBUSY)),
        },
        Resource::MEMORY if seen.range == Range::Missing => Some(Cause::of(Reason::NO_SUCH_RESOURCE, returned)),
        Resource::MEMORY if returned == errno::EINVAL && seen.senses.has(Senses::LMBS) && !seen.lmbs_tried => {
            match (asked.target(), seen.range) {
                (Target::Index(_), _) => Some(Cause::by_exclusion(Reason::NO_SUCH_RESOURCE, returned)),
                // The LMBs are there, and the kernel came to none of them.
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

    fn asked(bytes: [u8; 12]) -> HotplugRequest {
        HotplugRequest::from_bytes(&bytes).unwrap()
    }

    fn dimm() -> HotplugRequest {
        asked([2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8])
    }

    fn by_count() -> HotplugRequest {
        asked([2, 2, 3, 0, 0, 0, 0, 2, 0, 0, 0, 0])
    }

    fn by_index(resource: u8) -> HotplugRequest {
        asked([resource, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0])
    }

    fn failure(reason: Reason, errno: i32) -> Option<Failure> {
        Some(Failure { connector: LMB, cause: Cause::of(reason, errno) })
    }

    fn busy() -> Option<Failure> {
        failure(Reason::UNMOVABLE_PAGE, EBUSY)
    }

    fn unreleased() -> Option<Failure> {
        failure(Reason::FIRMWARE_REFUSED, -1)
    }

    /// The errno of a refusal, and how it is told.
    fn refused(asked: &HotplugRequest, seen: &Evidence) -> Option<(i32, Telling)> {
        match judge(asked, seen) {
            Verdict::Refused { cause, telling, .. } => Some((cause.errno, telling)),
            Verdict::Released => None,
        }
    }

    /// The reason of a refusal, and the connector that refused.
    fn why(asked: &HotplugRequest, seen: &Evidence) -> Option<(Reason, Option<DrcIndex>)> {
        match judge(asked, seen) {
            Verdict::Refused { cause, connector, .. } => Some((cause.reason, connector)),
            Verdict::Released => None,
        }
    }

    #[test]
    fn removal_that_returns_zero_is_released() {
        let seen = Evidence { released: 2, ..Evidence::default() };
        assert_eq!(judge(&dimm(), &seen), Verdict::Released);
    }

    #[test]
    fn removal_of_what_was_given_back_before_is_released() {
        assert_eq!(judge(&dimm(), &Evidence::default()), Verdict::Released);
    }

    #[test]
    fn dimm_with_a_busy_lmb_is_signalled_on_its_connector_with_its_errno() {
        let seen = Evidence { returned: EINVAL, busy_lmb: busy(), ..Evidence::default() };
        assert_eq!(refused(&dimm(), &seen), Some((EBUSY, Telling::Signal(LMB))));
    }

    #[test]
    fn dimm_that_was_not_tried_is_signalled_on_its_first_connector() {
        let seen = Evidence { returned: EINVAL, ..Evidence::default() };
        let telling = Telling::Signal(DrcIndex(0x8000_0008));
        assert_eq!(refused(&dimm(), &seen), Some((EINVAL, telling)));
    }

    #[test]
    fn dimm_with_a_busy_later_lmb_was_told_by_the_kernel() {
        let seen = Evidence { returned: EINVAL, busy_lmb: busy(), unisolated: true, ..Evidence::default() };
        assert_eq!(refused(&dimm(), &seen), Some((EBUSY, Telling::Done)));
    }

    #[test]
    fn cpu_that_stays_online_was_told_by_the_kernel() {
        let cpu = asked([1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0]);
        let seen = Evidence { returned: EINVAL, unisolated: true, ..Evidence::default() };
        assert_eq!(refused(&cpu, &seen), Some((EINVAL, Telling::Done)));
    }

    #[test]
    fn pmem_that_cannot_be_detached_is_signalled() {
        let pmem = asked([6, 2, 2, 0, 0x90, 0, 0, 1, 0, 0, 0, 0]);
        let seen = Evidence { returned: -19, ..Evidence::default() };
        assert_eq!(refused(&pmem, &seen), Some((-19, Telling::Signal(DrcIndex(0x9000_0001)))));
    }

    #[test]
    fn removal_by_count_is_signalled_on_the_lmb_that_was_busy() {
        let seen = Evidence { returned: EINVAL, busy_lmb: busy(), ..Evidence::default() };
        assert_eq!(refused(&by_count(), &seen), Some((EBUSY, Telling::Signal(LMB))));
    }

    #[test]
    fn removal_by_count_that_found_no_lmb_to_try_cannot_be_signalled() {
        let seen = Evidence { returned: EINVAL, ..Evidence::default() };
        assert_eq!(refused(&by_count(), &seen), Some((EINVAL, Telling::Impossible)));
    }

    #[test]
    fn removal_by_count_that_met_a_busy_lmb_and_found_others_is_released() {
        let seen = Evidence { released: 2, busy_lmb: busy(), ..Evidence::default() };
        assert_eq!(judge(&by_count(), &seen), Verdict::Released);
    }

    #[test]
    fn released_dimm_whose_device_tree_update_failed_is_released() {
        let seen = Evidence { returned: -12, released: 2, ..Evidence::default() };
        assert_eq!(judge(&dimm(), &seen), Verdict::Released);
    }

    #[test]
    fn dimm_that_firmware_does_not_take_back_is_signalled_though_the_kernel_returned_zero() {
        let seen = Evidence { unreleased: unreleased(), ..Evidence::default() };
        assert_eq!(refused(&dimm(), &seen), Some((-1, Telling::Signal(LMB))));
    }

    #[test]
    fn dimm_that_firmware_takes_back_in_part_is_not_signalled() {
        let seen = Evidence { released: 1, unreleased: unreleased(), ..Evidence::default() };
        assert_eq!(refused(&dimm(), &seen), Some((-1, Telling::Impossible)));
    }

    /// Every combination of evidence, for every way to name a connector.
    fn everything() -> Vec<(HotplugRequest, Evidence)> {
        let mut all = vec![];
        for identifier_type in 0..=5 {
            let request = asked([2, 2, identifier_type, 0, 0, 0, 0, 2, 0x80, 0, 0, 8]);
            for bits in 0..32 {
                let has = |bit: u32| bits & (1 << bit) != 0;
                let seen = Evidence {
                    returned: if has(0) { EINVAL } else { 0 },
                    released: u32::from(has(1)),
                    unreleased: busy().filter(|_| has(2)),
                    busy_lmb: busy().filter(|_| has(3)),
                    unisolated: has(4),
                    ..Evidence::default()
                };
                all.push((request, seen));
            }
        }
        all
    }

    #[test]
    fn nothing_is_signalled_after_the_kernel_signalled_or_a_connector_was_released() {
        let signalled = everything().into_iter().filter(|(request, seen)| {
            matches!(judge(request, seen), Verdict::Refused { telling: Telling::Signal(_), .. })
        });
        let mut count = 0;
        for (_, seen) in signalled {
            assert!(!seen.unisolated && seen.released == 0, "{seen:?}");
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn failed_removal_that_released_nothing_is_always_refused_with_an_errno() {
        for (request, seen) in everything().iter().filter(|(_, seen)| seen.returned != 0 && seen.released == 0) {
            assert!(refused(request, seen).is_some_and(|(errno, _)| errno < 0), "{seen:?}");
        }
    }

    const ALL: Senses = Senses(u32::MAX);

    fn failed(returned: i32) -> Evidence {
        Evidence { returned, senses: ALL, ..Evidence::default() }
    }

    /// PUE-G-036, PUE-G-032
    #[test]
    fn busy_lmb_has_its_own_reason_and_connector() {
        let seen = Evidence { busy_lmb: busy(), lmbs_tried: true, ..failed(EINVAL) };
        assert_eq!(why(&dimm(), &seen), Some((Reason::UNMOVABLE_PAGE, Some(LMB))));
        let seen = Evidence { unrestored: failure(Reason::ROLLBACK_FAILED, -12), ..seen };
        assert_eq!(why(&dimm(), &seen), Some((Reason::ROLLBACK_FAILED, Some(LMB))));
    }

    /// PUE-G-036
    #[test]
    fn request_that_the_kernel_cannot_understand_is_unsupported_or_malformed() {
        let reason = |bytes, returned| why(&asked(bytes), &failed(returned)).map(|(reason, _)| reason);
        let no_lmbs = [2, 2, 4, 0, 0, 0, 0, 0, 0x80, 0, 0, 8];
        assert_eq!(reason(no_lmbs, EINVAL), Some(Reason::MALFORMED));
        assert_eq!(reason([2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], -95), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([1, 2, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([6, 2, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
        assert_eq!(reason([6, 2, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0], -19), Some(Reason::NO_SUCH_RESOURCE));
        assert_eq!(reason([9, 2, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0], EINVAL), Some(Reason::UNSUPPORTED));
    }

    /// PUE-G-036
    #[test]
    fn resource_that_the_kernel_does_not_find_is_no_such_resource() {
        let index = Some(DrcIndex(0x1000_0001));
        assert_eq!(why(&by_index(1), &failed(-19)), Some((Reason::NO_SUCH_RESOURCE, index)));
        assert_eq!(why(&by_index(6), &failed(-19)), Some((Reason::NO_SUCH_RESOURCE, index)));
        assert_eq!(why(&by_index(2), &failed(EINVAL)), Some((Reason::NO_SUCH_RESOURCE, index)));
        let seen = Evidence { range: Range::Missing, ..failed(EINVAL) };
        assert_eq!(why(&dimm(), &seen).map(|(reason, _)| reason), Some(Reason::NO_SUCH_RESOURCE));
    }

    /// PUE-G-036
    #[test]
    fn lmbs_that_are_there_and_are_not_tried_are_reserved() {
        let seen = Evidence { range: Range::Found, ..failed(EINVAL) };
        assert_eq!(why(&dimm(), &seen), Some((Reason::LMB_RESERVED, Some(DrcIndex(0x8000_0008)))));
    }

    /// PUE-G-036
    #[test]
    fn what_is_inferred_counts_only_if_every_call_was_seen() {
        let seen = Evidence { range: Range::Found, blind: true, ..failed(EINVAL) };
        assert_eq!(why(&dimm(), &seen).map(|(reason, _)| reason), Some(Reason::UNATTRIBUTED));
        let seen = Evidence { senses: Senses::default(), blind: false, ..seen };
        assert_eq!(why(&dimm(), &seen).map(|(reason, _)| reason), Some(Reason::UNATTRIBUTED));
    }

    /// PUE-G-036
    #[test]
    fn last_cpu_is_known_by_the_number_that_is_online() {
        let seen = Evidence { last_online: true, unisolated: true, ..failed(EINVAL) };
        assert_eq!(refused(&by_index(1), &seen), Some((EBUSY, Telling::Done)));
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::LAST_CPU));
        let seen = Evidence { cpus_offline: 1, ..seen };
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::CORE_PARTLY_OFFLINE));
        let seen = Evidence { last_online: false, ..failed(EINVAL) };
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::UNATTRIBUTED));
    }

    /// PUE-G-036
    #[test]
    fn thread_that_refuses_after_another_went_leaves_the_core_partly_offline() {
        let stuck_cpu = Some(Cause::of(Reason::CPU_VETO, -11));
        let seen = Evidence { stuck_cpu, ..failed(EINVAL) };
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::CPU_VETO));
        let seen = Evidence { cpus_offline: 3, ..seen };
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::CORE_PARTLY_OFFLINE));
        assert_eq!(refused(&by_index(1), &seen).map(|(errno, _)| errno), Some(-11));
    }

    /// PUE-G-036
    #[test]
    fn release_that_firmware_or_the_device_tree_refuses_is_told_apart() {
        let seen = Evidence { unreleased: unreleased(), unisolated: true, ..failed(-1) };
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::FIRMWARE_REFUSED));
        let seen = Evidence { released: 1, unisolated: true, ..failed(-12) };
        assert_eq!(why(&by_index(1), &seen).map(|(reason, _)| reason), Some(Reason::DETACH_FAILED));
        let seen = Evidence { undetached: true, ..failed(EINVAL) };
        assert_eq!(why(&by_index(6), &seen).map(|(reason, _)| reason), Some(Reason::DETACH_FAILED));
        assert_eq!(why(&by_index(6), &failed(-12)).map(|(reason, _)| reason), Some(Reason::NO_MEMORY));
    }

    /// PUE-G-036
    #[test]
    fn removal_by_count_has_too_few_lmbs_whichever_was_busy() {
        let seen = Evidence { busy_lmb: busy(), lmbs_tried: true, ..failed(EINVAL) };
        assert_eq!(why(&by_count(), &seen), Some((Reason::NOT_ENOUGH_LMBS, Some(LMB))));
        assert_eq!(why(&by_count(), &failed(EINVAL)), Some((Reason::NOT_ENOUGH_LMBS, None)));
    }
}
