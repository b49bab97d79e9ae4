// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mutants: rules that are broken one at a time, because a check that no mutant fails would check nothing.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// No rule.
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
    /// VMM: while a class is armed, no hint is an outcome, not even for a request that is not promised.
    SwallowHint,
    /// VMM: the token of a request that has ended is taken for one that is unknown.
    ChargeStaleToken,
    /// VMM: a promise stands although the guest reads no tokens any more.
    KeepPromiseWithoutToken,
    /// VMM: an LMB of a DIMM that is to stay cannot be isolated.
    RejectIsolateOfKept,
    /// VMM: the removal of a device whose request was withdrawn is wanted no longer.
    KeepWithdrawnDevice,
    /// VMM: hot plug events for a device that is gone stay in the queue.
    KeepEvents,
    /// VMM: a hint ends a request that the guest was not asked for.
    ChargeWithheld,
    /// VMM: of devices that go together, some are asked for although there is no room for all.
    HalfTogether,
    /// VMM: a request that was withheld is announced without a token.
    AnnounceWithoutToken,
    /// VMM: UNISOLATE of a physical connector is no hint.
    IgnorePhysicalHint,
    /// Guest: it arms without a look whether its probes fire.
    ArmWithoutCanary,
    /// Guest: it goes on promising although work begins, or ends, that its probes did not see.
    PromiseUnseen,
    /// Guest: after "not armed" it goes on using the tokens of the VMM that gave them.
    KeepTokens,
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
    /// Guest: an event that nobody can read is not answered.
    SilentWithoutAgent,
    /// Guest: an event that the agent reads past is not answered.
    SilentAboutEaten,
    /// Guest: an event that a dead agent had is not answered.
    SilentAboutKilledAgent,
    /// Guest: a removal whose process is killed is not answered.
    SilentAboutKilledChild,
    /// Guest: an event that is overwritten in the log is not answered.
    SilentAboutOverwritten,
    /// Guest: an event that was answered is given to user space all the same.
    BeginAnswered,
}

/// A set of rules that are broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mutants(u64);

impl Mutants {
    /// Returns the set of these.
    pub const fn of(mutants: &[Mutant]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < mutants.len() {
            bits |= 1 << mutants[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    /// Returns whether the set has this one.
    pub const fn contain(self, mutant: Mutant) -> bool {
        self.0 & (1 << mutant as u32) != 0
    }
}

impl From<Mutant> for Mutants {
    fn from(mutant: Mutant) -> Self {
        Self::of(&[mutant])
    }
}

/// Every mutant that shows within two disturbances, with its meaning in words.
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
    (Mutant::SwallowHint, "vmm: keeps the hint of an armed guest for a request that is not promised"),
    (Mutant::ChargeStaleToken, "vmm: charges the token of an ended request to another one"),
    (Mutant::KeepPromiseWithoutToken, "vmm: keeps promises when the guest arms without tokens"),
    (Mutant::RejectIsolateOfKept, "vmm: takes no LMB of a DIMM that is to stay"),
    (Mutant::KeepWithdrawnDevice, "vmm: keeps a device that is given back after its request was withdrawn"),
    (Mutant::ChargeWithheld, "vmm: charges a hint to a request that is withheld"),
    (Mutant::KeepEvents, "vmm: sends hot plug events for a device that is gone"),
    (Mutant::ArmWithoutCanary, "guest: arms without a look whether its probes fire"),
    (Mutant::PromiseUnseen, "guest: goes on promising although its probes do not see the work on a request"),
    (Mutant::SilentAboutDropped, "guest: does not answer what its kernel dropped"),
    (Mutant::SilentWithKernel, "guest: reports only what its kernel signals too"),
    (Mutant::UnloadArmed, "guest: unloads without DISARM"),
    (Mutant::LoadWithoutDisarm, "guest: loads without withdrawing an earlier kernel's promise"),
    (Mutant::ReportGuestInitiated, "guest: reports removals that its administrator began"),
    (Mutant::NewestToken, "guest: answers with the newest token instead of the request's"),
    (Mutant::IgnoreNotArmed, "guest: does not arm again when told that it is not armed"),
    (Mutant::IgnoreNoSuchIndicator, "guest: does not fall back to level 0 when the indicator is gone"),
    (Mutant::SilentAboutDone, "guest: does not report a removal that it takes for a success"),
];

/// Every mutant that shows where user space removes the devices, with its meaning in words.
pub const OF_USER_SPACE: &[(Mutant, &str)] = &[
    (Mutant::SilentWithoutAgent, "guest: does not answer an event that nobody can read"),
    (Mutant::SilentAboutEaten, "guest: does not answer an event that its agent reads past"),
    (Mutant::SilentAboutKilledAgent, "guest: does not answer an event that a dead agent had"),
    (Mutant::SilentAboutKilledChild, "guest: does not answer when the process is killed that removes the device"),
    (Mutant::SilentAboutOverwritten, "guest: does not answer an event that is overwritten in its log"),
    (Mutant::BeginAnswered, "guest: gives its user space an event that it has answered"),
    (Mutant::SilentAboutDone, "guest: does not report a removal that it takes for a success"),
    (Mutant::IgnorePhysicalHint, "vmm: takes no hint at a physical connector"),
];
