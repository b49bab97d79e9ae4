// SPDX-License-Identifier: GPL-2.0-only

//! The judgement: what a removal came to, and whom to tell.

use crate::wire::{drc::DrcIndex, hotplug::HotplugRequest};

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
    /// Whether the kernel unisolated a connector to signal the refusal, as it does in some cases.
    pub unisolated: bool,
}

/// A connector that something could not be done to, and the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The connector.
    pub connector: DrcIndex,
    /// A negative errno.
    pub errno: i32,
}

/// What a removal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guest gave back what it was asked for, or had given it back before.
    Released,
    /// The guest keeps it.
    Refused {
        /// Why: the error of the block that was busy if there was one, else that of the whole removal.
        errno: i32,
        /// Who tells the hypervisor.
        telling: Telling,
    },
}

/// How the hypervisor learns of a refusal.
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
    let telling = match failure.map(|failure| failure.connector).or(asked.target().connector()) {
        _ if seen.unisolated => Telling::Done,
        Some(connector) if seen.released == 0 => Telling::Signal(connector),
        _ => Telling::Impossible,
    };
    Verdict::Refused { errno: failure.map_or(seen.returned, |failure| failure.errno), telling }
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

    fn busy() -> Option<Failure> {
        Some(Failure { connector: LMB, errno: EBUSY })
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
        assert_eq!(judge(&dimm(), &seen), Verdict::Refused { errno: EBUSY, telling: Telling::Signal(LMB) });
    }

    #[test]
    fn dimm_that_was_not_tried_is_signalled_on_its_first_connector() {
        let seen = Evidence { returned: EINVAL, ..Evidence::default() };
        let telling = Telling::Signal(DrcIndex(0x8000_0008));
        assert_eq!(judge(&dimm(), &seen), Verdict::Refused { errno: EINVAL, telling });
    }

    #[test]
    fn dimm_with_a_busy_later_lmb_was_told_by_the_kernel() {
        let seen = Evidence { returned: EINVAL, busy_lmb: busy(), unisolated: true, ..Evidence::default() };
        assert_eq!(judge(&dimm(), &seen), Verdict::Refused { errno: EBUSY, telling: Telling::Done });
    }

    #[test]
    fn cpu_that_stays_online_was_told_by_the_kernel() {
        let cpu = asked([1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0]);
        let seen = Evidence { returned: EINVAL, unisolated: true, ..Evidence::default() };
        assert_eq!(judge(&cpu, &seen), Verdict::Refused { errno: EINVAL, telling: Telling::Done });
    }

    #[test]
    fn pmem_that_cannot_be_detached_is_signalled() {
        let pmem = asked([6, 2, 2, 0, 0x90, 0, 0, 1, 0, 0, 0, 0]);
        let seen = Evidence { returned: -19, ..Evidence::default() };
        assert_eq!(
            judge(&pmem, &seen),
            Verdict::Refused { errno: -19, telling: Telling::Signal(DrcIndex(0x9000_0001)) }
        );
    }

    #[test]
    fn removal_by_count_is_signalled_on_the_lmb_that_was_busy() {
        let seen = Evidence { returned: EINVAL, busy_lmb: busy(), ..Evidence::default() };
        assert_eq!(judge(&by_count(), &seen), Verdict::Refused { errno: EBUSY, telling: Telling::Signal(LMB) });
    }

    #[test]
    fn removal_by_count_that_found_no_lmb_to_try_cannot_be_signalled() {
        let seen = Evidence { returned: EINVAL, ..Evidence::default() };
        assert_eq!(judge(&by_count(), &seen), Verdict::Refused { errno: EINVAL, telling: Telling::Impossible });
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
        let seen = Evidence { unreleased: Some(Failure { connector: LMB, errno: -1 }), ..Evidence::default() };
        assert_eq!(judge(&dimm(), &seen), Verdict::Refused { errno: -1, telling: Telling::Signal(LMB) });
    }

    #[test]
    fn dimm_that_firmware_takes_back_in_part_is_not_signalled() {
        let unreleased = Some(Failure { connector: LMB, errno: -1 });
        let seen = Evidence { released: 1, unreleased, ..Evidence::default() };
        assert_eq!(judge(&dimm(), &seen), Verdict::Refused { errno: -1, telling: Telling::Impossible });
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
            assert!(matches!(judge(request, seen), Verdict::Refused { errno: ..0, .. }), "{seen:?}");
        }
    }
}
