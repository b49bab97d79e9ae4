// SPDX-License-Identifier: GPL-2.0-only

//! The removal that is being followed: whose it is, what was asked, what has been seen of it.

use super::{
    cause::{Cause, CauseCell},
    clues::{errno, Clues, CpusLeft, LmbFlags, Senses},
    verdict::{Evidence, Failure, Range},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::{Action, Capability, HotplugRequest, IdentifierType, Resource},
    reason::Reason,
    token::Token,
};
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU16, AtomicU32, AtomicU8, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// A task of the kernel, known by an address that is its own while it runs. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task(pub usize);

impl Task {
    /// No task of the kernel: who answers requests at which no attempt is seen.
    pub const NONE: Self = Self(1);
}

/// No errno, and no success.
const NOT_RETURNED: i32 = i32::MIN;

/// What the kernel says when a removal has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// What the removal returned: 0 or a negative errno.
    pub returned: i32,
    /// Whether only one CPU is online.
    pub last_online: bool,
    /// Whether a call of a probed function went by unseen meanwhile.
    pub blind: bool,
}

/// The one removal that is being followed, if any. Who has it has the turn: to take arrivals, to put into the outbox, to
/// write in the journal.
///
/// # Invariants
///
/// While `holder` is a task, only probes that run in that task touch the other fields, but for the states of CPU hotplug,
/// which the task waits for. So they need no ordering of their own: a task sees what it wrote itself, whichever CPU it
/// wakes up on, and `holder` orders one task's use after the other's.
#[derive(Debug)]
pub struct Attempt {
    /// The task that makes it, or 0.
    holder: AtomicUsize,
    asked: Asked,
    token: AtomicU16,
    /// What is seen of the LMB or CPU that goes offline at this moment.
    pub clues: Clues,
    released: AtomicU32,
    unreleased: FailureCell,
    busy_lmb: FailureCell,
    unrestored: FailureCell,
    stuck_cpu: CauseCell,
    cpus_offline: AtomicU32,
    undetached: AtomicBool,
    unisolated: AtomicBool,
    lmbs_tried: AtomicBool,
    /// What the function returned that does what is asked for one kind of resource; [`NOT_RETURNED`] if none has.
    handled: AtomicI32,
    /// What the removal itself returned; [`NOT_RETURNED`] if it has not, or if that was taken.
    returned: AtomicI32,
    last_online: AtomicBool,
    blind: AtomicBool,
    range: AtomicU8,
    /// The connector that is being given back at this moment.
    releasing: AtomicU32,
    /// The LMB that is being taken offline at this moment.
    removing: AtomicU32,
    /// The LMB that is being put back at this moment.
    restoring: AtomicU32,
}

impl Attempt {
    /// None.
    pub const fn new() -> Self {
        Self {
            holder: AtomicUsize::new(0),
            asked: Asked::new(),
            token: AtomicU16::new(0),
            clues: Clues::new(),
            released: AtomicU32::new(0),
            unreleased: FailureCell::new(),
            busy_lmb: FailureCell::new(),
            unrestored: FailureCell::new(),
            stuck_cpu: CauseCell::new(),
            cpus_offline: AtomicU32::new(0),
            undetached: AtomicBool::new(false),
            unisolated: AtomicBool::new(false),
            lmbs_tried: AtomicBool::new(false),
            handled: AtomicI32::new(NOT_RETURNED),
            returned: AtomicI32::new(NOT_RETURNED),
            last_online: AtomicBool::new(false),
            blind: AtomicBool::new(false),
            range: AtomicU8::new(0),
            releasing: AtomicU32::new(0),
            removing: AtomicU32::new(0),
            restoring: AtomicU32::new(0),
        }
    }

    /// Takes the turn. The error is the task that has it.
    pub fn take_turn(&self, task: Task) -> Result<(), Task> {
        match self.holder.compare_exchange(0, task.0, SeqCst, Relaxed) {
            Ok(_) => Ok(()),
            Err(holder) => Err(Task(holder)),
        }
    }

    /// Gives the turn back, so that the next removal can be followed.
    pub fn give_turn_back(&self) {
        self.holder.store(0, SeqCst);
    }

    /// Whether the removal that is being followed is this task's.
    pub fn is_of(&self, task: Task) -> bool {
        self.holder.load(Relaxed) == task.0
    }

    /// Begins to follow a removal. Only for who has the turn.
    pub fn begin(&self, asked: &HotplugRequest, token: Token) {
        self.asked.set(asked);
        self.token.store(token.0, Relaxed);
        self.clues.begin();
        self.released.store(0, Relaxed);
        self.unreleased.clear();
        self.busy_lmb.clear();
        self.unrestored.clear();
        self.stuck_cpu.clear();
        self.cpus_offline.store(0, Relaxed);
        self.undetached.store(false, Relaxed);
        self.unisolated.store(false, Relaxed);
        self.lmbs_tried.store(false, Relaxed);
        self.handled.store(NOT_RETURNED, Relaxed);
        self.returned.store(NOT_RETURNED, Relaxed);
        self.range.store(Range::NotAsked as u8, Relaxed);
    }

    /// What was asked, and its token. Only for who has the turn.
    pub fn asked(&self) -> (HotplugRequest, Token) {
        (self.asked.get(), Token(self.token.load(Relaxed)))
    }

    /// The removal has returned.
    pub fn ends(&self, ending: &Ending) {
        self.last_online.store(ending.last_online, Relaxed);
        self.blind.store(ending.blind, Relaxed);
        self.returned.store(ending.returned, Relaxed);
    }

    /// Whether the removal has returned, and its ending was not taken.
    pub fn has_ended(&self) -> bool {
        self.returned.load(Relaxed) != NOT_RETURNED
    }

    /// Takes the removal's ending, if it has returned. Only for who has the turn.
    pub fn take_ending(&self) -> Option<Ending> {
        let returned = self.returned.swap(NOT_RETURNED, Relaxed);
        (returned != NOT_RETURNED).then(|| Ending {
            returned,
            last_online: self.last_online.load(Relaxed),
            blind: self.blind.load(Relaxed),
        })
    }

    /// What was seen of a removal that ended like this. Only for who has the turn.
    pub fn seen(&self, ending: &Ending, senses: Senses) -> Evidence {
        let Ending { returned, last_online, blind } = *ending;
        Evidence {
            returned,
            released: self.released.load(Relaxed),
            unreleased: self.unreleased.get(),
            busy_lmb: self.busy_lmb.get(),
            unrestored: self.unrestored.get(),
            stuck_cpu: self.stuck_cpu.get(),
            cpus_offline: self.cpus_offline.load(Relaxed),
            undetached: self.undetached.load(Relaxed),
            unisolated: self.unisolated.load(Relaxed),
            lmbs_tried: self.lmbs_tried.load(Relaxed),
            range: Range::of(self.range.load(Relaxed)),
            last_online,
            senses,
            blind,
        }
    }

    /// The function has returned that does what is asked for one kind of resource.
    pub fn handler_ends(&self, returned: i32) {
        self.handled.store(returned, Relaxed);
    }

    /// What the removal returned, where only the functions were seen that do what is asked: 0 or a negative errno. Where
    /// none of them was called, the kernel knows no such resource.
    pub fn returned(&self) -> i32 {
        match self.handled.load(Relaxed) {
            NOT_RETURNED => errno::EINVAL,
            returned => returned,
        }
    }

    /// The kernel begins to give a connector back.
    pub fn release_begins(&self, connector: DrcIndex) {
        self.releasing.store(connector.0, Relaxed);
    }

    /// It has done so, or failed to.
    pub fn release_ends(&self, returned: i32) {
        if returned == 0 {
            self.released.fetch_add(1, Relaxed);
        } else if self.unreleased.get().is_none() {
            let cause = Cause::of(Reason::FIRMWARE_REFUSED, returned);
            self.unreleased.set(&Failure { connector: DrcIndex(self.releasing.load(Relaxed)), cause });
        }
    }

    /// The kernel begins to take an LMB offline.
    pub fn lmb_begins(&self, lmb: DrcIndex, flags: LmbFlags) {
        self.lmbs_tried.store(true, Relaxed);
        self.removing.store(lmb.0, Relaxed);
        self.clues.lmb_begins(flags);
    }

    /// It has done so, or failed to.
    pub fn lmb_ends(&self, returned: i32, senses: Senses) {
        if returned == 0 {
            return;
        }
        self.clues.lmb_ends(returned, senses);
        let cause = self.cause(returned);
        // By count, the kernel comes to every LMB, and to most of them in vain.
        let in_vain = [Reason::LMB_RESERVED, Reason::LMB_NOT_ASSIGNED].contains(&cause.reason);
        if !in_vain || self.busy_lmb.get().is_none() {
            self.busy_lmb.set(&Failure { connector: DrcIndex(self.removing.load(Relaxed)), cause });
        }
    }

    /// The kernel begins to put an LMB back that it had taken offline.
    pub fn restoring_begins(&self, lmb: DrcIndex) {
        self.restoring.store(lmb.0, Relaxed);
    }

    /// It has done so, or failed to.
    pub fn restoring_ends(&self, returned: i32) {
        if returned != 0 && self.unrestored.get().is_none() {
            let cause = Cause::of(Reason::ROLLBACK_FAILED, returned);
            self.unrestored.set(&Failure { connector: DrcIndex(self.restoring.load(Relaxed)), cause });
        }
    }

    /// The kernel has taken the CPUs online again that it had taken offline, or failed to.
    pub fn cpus_return(&self, returned: i32) {
        if let (true, Some(connector)) = (returned != 0, self.asked.get().target().connector()) {
            self.unrestored.set(&Failure { connector, cause: Cause::of(Reason::ROLLBACK_FAILED, returned) });
        }
    }

    /// The kernel has taken a device offline, or failed to, and so many CPUs are left; `is_cpu` tells CPUs from memory.
    pub fn device_ends(&self, is_cpu: bool, returned: i32, left: CpusLeft, senses: Senses) {
        if returned < 0 {
            self.clues.device_ends(returned, left, senses);
        }
        if is_cpu && returned == 0 {
            self.cpus_offline.fetch_add(1, Relaxed);
        } else if is_cpu && self.stuck_cpu.get().is_none() {
            self.stuck_cpu.set(&self.cause(returned));
        }
    }

    /// A device node could not be detached.
    pub fn is_undetached(&self) {
        self.undetached.store(true, Relaxed);
    }

    /// The kernel looked for the LMBs of a request by index and count, and returned 0 if it found them.
    pub fn range_ends(&self, returned: i32) {
        let range = if returned == 0 { Range::Found } else { Range::Missing };
        self.range.store(range as u8, Relaxed);
    }

    /// The kernel tried to signal a refusal, and returned 0 if it did.
    pub fn unisolate_ends(&self, returned: i32) {
        if returned == 0 {
            self.unisolated.store(true, Relaxed);
        }
    }

    /// What the clues say, with the error that came of it.
    fn cause(&self, returned: i32) -> Cause {
        let seen = self.clues.cause().unwrap_or(Cause::of(Reason::UNATTRIBUTED, returned));
        Cause { errno: returned, ..seen }
    }
}

/// A request, as words that several CPUs may see.
#[derive(Debug)]
pub struct Asked {
    /// Resource, action, identifier type and capability.
    kind: AtomicU32,
    /// The identifier. In halves, because there are many of these, and so they have no gaps.
    identifier: [AtomicU32; 2],
}

impl Asked {
    /// One of zeros.
    pub const fn new() -> Self {
        Self { kind: AtomicU32::new(0), identifier: [const { AtomicU32::new(0) }; 2] }
    }

    /// It is this.
    pub fn set(&self, asked: &HotplugRequest) {
        let HotplugRequest { resource, action, identifier_type, capability, identifier } = *asked;
        self.kind.store(u32::from_be_bytes([resource.0, action.0, identifier_type.0, capability.0]), Relaxed);
        let ([first, second], [to_first, to_second]) = (identifier, &self.identifier);
        to_first.store(first.get(), Relaxed);
        to_second.store(second.get(), Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> HotplugRequest {
        let [resource, action, identifier_type, capability] = self.kind.load(Relaxed).to_be_bytes();
        let [first, second] = &self.identifier;
        HotplugRequest {
            resource: Resource(resource),
            action: Action(action),
            identifier_type: IdentifierType(identifier_type),
            capability: Capability(capability),
            identifier: [first.load(Relaxed).into(), second.load(Relaxed).into()],
        }
    }
}

/// Room for a [`Failure`], or none.
#[derive(Debug)]
struct FailureCell {
    connector: AtomicU32,
    cause: CauseCell,
}

impl FailureCell {
    const fn new() -> Self {
        Self { connector: AtomicU32::new(0), cause: CauseCell::new() }
    }

    fn set(&self, failure: &Failure) {
        self.connector.store(failure.connector.0, Relaxed);
        self.cause.set(&failure.cause);
    }

    fn get(&self) -> Option<Failure> {
        self.cause.get().map(|cause| Failure { connector: DrcIndex(self.connector.load(Relaxed)), cause })
    }

    fn clear(&self) {
        self.cause.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: Task = Task(0x1000);
    const OTHER: Task = Task(0x2000);
    const LMB: DrcIndex = DrcIndex(0x8000_0009);
    const ASSIGNED: LmbFlags = LmbFlags::ASSIGNED;

    fn dimm() -> HotplugRequest {
        HotplugRequest::from([2, 2, 4, 0x80, 0, 0, 0, 2, 0x80, 0, 0, 8])
    }

    fn begun() -> Attempt {
        let attempt = Attempt::new();
        assert_eq!(attempt.take_turn(WORKER), Ok(()));
        attempt.begin(&dimm(), Token(7));
        attempt
    }

    fn seen(attempt: &Attempt, returned: i32) -> Evidence {
        attempt.seen(&Ending { returned, ..Ending::default() }, Senses::default())
    }

    #[test]
    fn removal_returned_what_the_function_for_its_resource_did_if_there_is_one() {
        let attempt = begun();
        assert_eq!(attempt.returned(), errno::EINVAL);
        attempt.handler_ends(0);
        assert_eq!(attempt.returned(), 0);
        attempt.begin(&dimm(), Token(8));
        assert_eq!(attempt.returned(), errno::EINVAL);
    }

    #[test]
    fn ending_is_taken_once_and_is_not_the_next_removals() {
        let attempt = begun();
        assert_eq!(attempt.take_ending(), None);
        let ending = Ending { returned: -16, last_online: true, blind: true };
        for taken in [Some(ending), None] {
            attempt.ends(&ending);
            assert!(attempt.has_ended());
            if taken.is_none() {
                attempt.begin(&dimm(), Token(8));
            }
            assert_eq!(attempt.take_ending(), taken);
            assert!(!attempt.has_ended());
        }
    }

    #[test]
    fn request_comes_back_byte_for_byte_with_its_token() {
        assert_eq!(begun().asked(), (dimm(), Token(7)));
    }

    #[test]
    fn second_removal_waits_until_the_first_ends() {
        let attempt = begun();
        assert!(attempt.is_of(WORKER) && !attempt.is_of(OTHER));
        assert_eq!(attempt.take_turn(OTHER), Err(WORKER));
        attempt.give_turn_back();
        assert_eq!(attempt.take_turn(OTHER), Ok(()));
        assert!(attempt.is_of(OTHER) && !attempt.is_of(WORKER));
    }

    #[test]
    fn evidence_is_what_was_seen_and_nothing_of_the_attempt_before() {
        let attempt = begun();
        attempt.range_ends(0);
        attempt.lmb_begins(LMB, ASSIGNED);
        attempt.clues.notifiers_end(-16);
        attempt.lmb_ends(-16, Senses::default());
        attempt.restoring_begins(LMB);
        attempt.restoring_ends(-12);
        attempt.release_begins(LMB);
        attempt.release_ends(-1);
        attempt.release_begins(DrcIndex(1));
        attempt.release_ends(-2);
        attempt.release_ends(0);
        attempt.is_undetached();
        attempt.unisolate_ends(0);
        let failure = |reason, errno| Some(Failure { connector: LMB, cause: Cause::of(reason, errno) });
        let expected = Evidence {
            returned: -22,
            released: 1,
            unreleased: failure(Reason::FIRMWARE_REFUSED, -1),
            busy_lmb: failure(Reason::MEMORY_VETO, -16),
            unrestored: failure(Reason::ROLLBACK_FAILED, -12),
            undetached: true,
            unisolated: true,
            lmbs_tried: true,
            range: Range::Found,
            ..Evidence::default()
        };
        assert_eq!(seen(&attempt, -22), expected);

        attempt.begin(&dimm(), Token::NONE);
        assert_eq!(seen(&attempt, 0), Evidence::default());
    }

    #[test]
    fn cpu_that_stays_is_counted_apart_from_those_that_went() {
        let attempt = begun();
        attempt.clues.cpu_begins(2);
        attempt.device_ends(true, 0, CpusLeft::default(), Senses::default());
        attempt.clues.cpu_begins(3);
        attempt.clues.cpu_state_fails(3, 149, 150, -11);
        attempt.device_ends(true, -11, CpusLeft::default(), Senses::default());
        let evidence = seen(&attempt, -22);
        assert_eq!(evidence.cpus_offline, 1);
        assert_eq!(evidence.stuck_cpu.map(|cause| (cause.reason, cause.errno)), Some((Reason::CPU_VETO, -11)));
    }

    #[test]
    fn lmb_that_is_busy_for_no_known_reason_is_unattributed_with_its_errno() {
        let attempt = begun();
        attempt.lmb_begins(LMB, ASSIGNED);
        attempt.lmb_ends(-5, Senses::default());
        let cause = seen(&attempt, -22).busy_lmb.map(|failure| failure.cause);
        assert_eq!(cause, Some(Cause::of(Reason::UNATTRIBUTED, -5)));
    }

    /// PUE-G-032
    #[test]
    fn lmb_that_is_nobodys_does_not_hide_the_one_that_is_busy() {
        let attempt = begun();
        let ends = |lmb, flags, returned| {
            attempt.lmb_begins(DrcIndex(lmb), LmbFlags(flags));
            attempt.lmb_ends(returned, Senses::default());
            seen(&attempt, -22).busy_lmb.map(|failure| failure.connector)
        };
        assert_eq!(ends(0x8000_0001, 0x80, -22), Some(DrcIndex(0x8000_0001)));
        assert_eq!(ends(0x8000_0009, 0x08, -16), Some(LMB));
        assert_eq!(ends(0x8000_000A, 0, -22), Some(LMB));
    }

    /// PUE-G-032, PUE-G-036
    #[test]
    fn core_that_does_not_come_back_is_lost() {
        let attempt = begun();
        attempt.cpus_return(0);
        assert_eq!(seen(&attempt, -5).unrestored, None);
        attempt.cpus_return(-12);
        let lost = Failure { connector: DrcIndex(0x8000_0008), cause: Cause::of(Reason::ROLLBACK_FAILED, -12) };
        assert_eq!(seen(&attempt, -5).unrestored, Some(lost));
    }

    #[test]
    fn signal_that_the_kernel_withheld_does_not_count() {
        let attempt = begun();
        attempt.unisolate_ends(-1);
        assert!(!seen(&attempt, -22).unisolated);
    }
}
