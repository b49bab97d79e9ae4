// SPDX-License-Identifier: MIT OR Apache-2.0

//! One rule broken at a time: a check that no mutant fails would check nothing.

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// None.
    None,
    /// VMM: a report for a request that has ended is told again.
    RepeatOutcome,
    /// VMM: the token is not looked at.
    IgnoreToken,
    /// VMM: every request gets the same token.
    ReuseToken,
    /// VMM: a report without a token may end a request that has one.
    MatchTokenless,
    /// VMM: a device that is given back after a refusal stays plugged.
    ForgetLateRelease,
    /// VMM: a DIMM goes when its first LMB does.
    ReleaseAtFirstLmb,
    /// VMM: an LMB that was given back is detached; a second device_del finds nothing there.
    DetachReleasedLmb,
    /// VMM: a refusal marks all LMBs as configured, given back or not.
    HealOnRefusal,
    /// VMM: a release ends only the oldest request for the device.
    ReleaseClosesOne,
    /// VMM: a second device_del is rejected while one is open.
    RejectRepeat,
    /// VMM: a hint is an outcome although the guest has promised to report.
    HintIsOutcome,
    /// VMM: a hint is forgotten when the promise is withdrawn.
    KeepHintOnDisarm,
    /// VMM: DONE changes nothing.
    IgnoreDone,
    /// VMM: what the guest has passed over stays open.
    KeepOlder,
    /// VMM: open requests are not migrated.
    ForgetOnMigration,
    /// VMM: open requests survive a reset.
    KeepRequestsOverReset,
    /// VMM: a guest stays armed over a reset.
    StayArmedOverReset,
    /// Guest: what the kernel dropped is not answered.
    SilentAboutDropped,
    /// Guest: only what the kernel signals is reported.
    SilentWithKernel,
    /// Guest: unloading does not disarm.
    UnloadArmed,
    /// Guest: loading does not withdraw an earlier kernel's promise.
    LoadWithoutDisarm,
    /// Guest: what somebody inside the guest asked for is reported like a request.
    ReportGuestInitiated,
    /// Guest: a report carries the token of the newest request.
    NewestToken,
    /// Guest: "not armed" is taken for success.
    IgnoreNotArmed,
    /// Guest: "no such indicator" is taken for success.
    IgnoreNoSuchIndicator,
    /// Guest: a finished removal is not reported.
    SilentAboutDone,
}

/// Every mutant, with what it does in words.
pub const ALL: &[(Mutant, &str)] = &[
    (Mutant::RepeatOutcome, "vmm: tells a refusal again when the report is repeated"),
    (Mutant::IgnoreToken, "vmm: charges a report to the device's oldest request, whatever its token"),
    (Mutant::ReuseToken, "vmm: gives every request the same token"),
    (Mutant::MatchTokenless, "vmm: lets a report without a token end a request that has one"),
    (Mutant::ForgetLateRelease, "vmm: keeps a device plugged that is given back after a refusal"),
    (Mutant::ReleaseAtFirstLmb, "vmm: deletes a DIMM when its first LMB is given back"),
    (Mutant::DetachReleasedLmb, "vmm: detaches an LMB that is given back"),
    (Mutant::HealOnRefusal, "vmm: marks every LMB configured on a refusal, given back or not"),
    (Mutant::ReleaseClosesOne, "vmm: ends only one request when the device is released"),
    (Mutant::RejectRepeat, "vmm: rejects a second device_del while one is open"),
    (Mutant::HintIsOutcome, "vmm: takes an armed guest's UNISOLATE for an outcome"),
    (Mutant::KeepHintOnDisarm, "vmm: forgets a hint, and keeps showing the promise, after DISARM"),
    (Mutant::IgnoreDone, "vmm: does not look at what is left after DONE"),
    (Mutant::KeepOlder, "vmm: leaves requests open that the guest has passed over"),
    (Mutant::ForgetOnMigration, "vmm: forgets open requests on migration"),
    (Mutant::KeepRequestsOverReset, "vmm: keeps requests open over a reset"),
    (Mutant::StayArmedOverReset, "vmm: keeps the guest armed over a reset"),
    (Mutant::SilentAboutDropped, "guest: does not answer what its kernel dropped"),
    (Mutant::SilentWithKernel, "guest: reports only what its kernel signals too"),
    (Mutant::UnloadArmed, "guest: unloads without DISARM"),
    (Mutant::LoadWithoutDisarm, "guest: loads without withdrawing an earlier kernel's promise"),
    (Mutant::ReportGuestInitiated, "guest: reports removals that nobody outside asked for"),
    (Mutant::NewestToken, "guest: answers with the newest token instead of the request's"),
    (Mutant::IgnoreNotArmed, "guest: does not arm again when told that it is not armed"),
    (Mutant::IgnoreNoSuchIndicator, "guest: does not fall back to level 0 when the indicator is gone"),
    (Mutant::SilentAboutDone, "guest: does not report a removal that it takes for a success"),
];
