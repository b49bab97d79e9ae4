// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every defect that was measured on stock parts, as a story: it is seen with the rules of stock QEMU, and not with
//! this crate.
//!
//! A story is told to both VMMs by the same guest. `spec/model` has the stock rules.

#[path = "oracle/mod.rs"]
pub mod oracle;

use oracle::host::Host;

use papr_unplug::{
    Config, Offer, Span, Tracker,
    event::{self, End, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        reason::Reason,
        report::{Errno, Report},
        rtas::{Indicator, Status},
        token::Token,
    },
};
use papr_unplug_model::{
    machine::{CPU, CPU0, DIMM, Device, LMB0, LMB1, UNPLUG_STATUS},
    stock::Stock,
    vmm::{Effects, Event, Input, Outcome, Source, Vmm},
};

const LMB0_AND_LMB1: [DrcIndex; 2] = [LMB0, LMB1];

/// Conversation with a VMM, and what the VMM has told so far.
struct Story<V> {
    vmm: V,
    events: Vec<Event>,
    rejected: Option<&'static str>,
    abort: Option<&'static str>,
    /// The token of the last hot plug event.
    token: Token,
}

impl<V: Vmm> Story<V> {
    fn new(vmm: V) -> Self {
        Self { vmm, events: Vec::new(), rejected: None, abort: None, token: Token::NONE }
    }

    fn step(&mut self, input: Input) -> Option<Status> {
        if self.abort.is_some() {
            return None;
        }
        let Effects { status, asked, events, abort } = self.vmm.step(input);
        self.abort = abort;
        self.rejected = asked.and_then(Result::err).or(self.rejected);
        for event in events {
            match event {
                Event::Hotplug(_, _, token) => self.token = token,
                other => self.events.push(other),
            }
        }
        status
    }

    fn device_del(&mut self, device: Device) {
        self.step(Input::DeviceDel(device));
    }

    fn set(&mut self, indicator: Indicator, connector: DrcIndex, state: u32) {
        self.step(Input::SetIndicator(indicator, connector, state));
    }

    /// Gives a connector back.
    fn release(&mut self, connector: DrcIndex) {
        self.set(Indicator::ISOLATION_STATE, connector, 0);
        self.set(Indicator::ALLOCATION_STATE, connector, 0);
    }

    /// Sends a hint, as a stock kernel does.
    fn unisolate(&mut self, connector: DrcIndex) {
        self.set(Indicator::ISOLATION_STATE, connector, 1);
    }

    /// Arms, as the guest's module does. A VMM that takes no reports answers -3.
    fn arm(&mut self) {
        let classes = Classes::CPU | Classes::MEMORY;
        self.report(None, Report::Arm { classes, features: Features::TOKEN });
    }

    /// Reports a refusal, as the guest's module does. A VMM that takes no reports gets the hint, unless the kernel sent
    /// it.
    fn refuse(&mut self, token: Token, connector: DrcIndex, has_hinted: bool) {
        let report = Report::Refused { token, reason: Reason::UNMOVABLE_PAGE, errno: Errno(16) };
        let is_taken = self.report(Some(connector), report).is_some_and(Status::is_success);
        if !is_taken && !has_hinted {
            self.unisolate(connector);
        }
    }

    fn report(&mut self, connector: Option<DrcIndex>, report: Report) -> Option<Status> {
        let index = connector.unwrap_or(DrcIndex(0));
        self.step(Input::SetIndicator(UNPLUG_STATUS, index, report.word().0))
    }

    fn refusals(&self) -> Vec<(DrcIndex, Reason, Source)> {
        let refusal = |event: &Event| match *event {
            Event::Outcome(_, _, Outcome::Refused { connector, reason, source, .. }) => {
                Some((connector, reason, source))
            }
            _ => None,
        };
        self.events.iter().filter_map(refusal).collect()
    }

    fn is_deleted(&self, device: Device) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Deleted(gone, ..) if *gone == device))
    }
}

/// "last online CPU refused: no reason"
fn last_cpu_is_refused<V: Vmm>(vmm: V) -> Story<V> {
    let mut story = Story::new(vmm);
    story.arm();
    story.device_del(CPU);
    story.unisolate(CPU0);
    story.refuse(story.token, CPU0, true);
    story
}

/// PUE-V-030, PUE-V-041
#[test]
fn last_cpu_refused_is_told_once_with_its_reason() {
    let (stock, ours) = (last_cpu_is_refused(Stock::new()), last_cpu_is_refused(Host::new()));
    assert_eq!(stock.refusals(), [(CPU0, Reason::UNATTRIBUTED, Source::Inferred)]);
    assert_eq!(ours.refusals(), [(CPU0, Reason::UNMOVABLE_PAGE, Source::Token)]);
}

/// "DIMM whose first attempted LMB is busy", "DIMM vetoed by a memory notifier": the kernel makes no call at all.
fn dimm_is_asked_for<V: Vmm>(vmm: V) -> Story<V> {
    let mut story = Story::new(vmm);
    story.arm();
    story.device_del(DIMM);
    story
}

/// PUE-V-030
#[test]
fn dimm_whose_first_lmb_is_busy_is_told_once_with_its_reason() {
    let (stock, mut ours) = (dimm_is_asked_for(Stock::new()), dimm_is_asked_for(Host::new()));
    ours.refuse(ours.token, LMB0, false);
    assert_eq!(stock.refusals(), []);
    assert_eq!(ours.refusals(), [(LMB0, Reason::UNMOVABLE_PAGE, Source::Token)]);
}

/// PUE-V-050: the other half, "Memory unplug already in progress", is gone for stock guests too.
#[test]
fn dimm_that_a_stock_guest_refused_in_silence_can_be_asked_for_again() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.device_del(DIMM);
        story.device_del(DIMM);
        LMB0_AND_LMB1.into_iter().for_each(|lmb| story.release(lmb));
        story
    }
    assert_eq!(story(Stock::new()).rejected, Some("Memory unplug already in progress"));
    let ours = story(Host::new());
    assert_eq!(ours.rejected, None);
    assert!(ours.is_deleted(DIMM));
}

/// PUE-V-040: "DIMM whose later LMB is busy: the event twice for one refusal"
#[test]
fn dimm_whose_later_lmb_is_busy_is_told_once() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.device_del(DIMM);
        story.unisolate(LMB0);
        story
    }
    assert_eq!(story(Stock::new()).refusals().len(), 2);
    assert_eq!(story(Host::new()).refusals(), [(LMB0, Reason::UNATTRIBUTED, Source::Inferred)]);
}

/// PUE-V-003, PUE-V-030, PUE-V-033: "PCI, PHB, PMEM refusal: no signal exists". The model has no such devices, and
/// nothing with which a stock VMM could be told about them; here each of them is refused with a report.
#[test]
fn refusal_of_any_other_class_is_told() {
    let word = Report::Refused { token: Token::NONE, reason: Reason::IN_USE, errno: Errno(16) }.word().0;
    let others = [(Resource::SLOT, 0x4000_0100), (Resource::PHB, 0x2000_0001), (Resource::PCI, 0x4000_0001)];
    for (resource, index) in others.into_iter().chain([(Resource::PMEM, 0x9000_0000)]) {
        let mut stock = Story::new(Stock::new());
        let said = Input::SetIndicator(UNPLUG_STATUS, DrcIndex(index), word);
        assert_eq!(stock.step(said), Some(Status::NO_SUCH_INDICATOR));
        assert_eq!(stock.events, []);

        let offer = Offer::new(UNPLUG_STATUS, Classes::of(resource), Features::empty());
        let mut ours = Tracker::new(Config::default().offer(offer));
        let connector = Span::from(DrcIndex(index));
        ours.add_connectors(resource, connector).unwrap();
        ours.plug(connector).unwrap();
        ours.boot(connector.first());
        let mut events = Vec::new();
        let arm = Report::Arm { classes: Classes::of(resource), features: Features::empty() }.word().0;
        assert_eq!(ours.set_indicator(&[UNPLUG_STATUS.0, 0, arm], &mut events), Status::SUCCESS);
        assert!(matches!(ours.request(connector.first(), &mut events), Ok(Requested::Ask(_))));
        assert_eq!(ours.set_indicator(&[UNPLUG_STATUS.0, index, word], &mut events), Status::SUCCESS);
        assert!(events.iter().any(|event| matches!(
            event,
            event::Event::Ended(event::Outcome { end: End::Refused(refusal), .. }) if refusal.reason == Reason::IN_USE
        )));
    }
}

/// PUE-V-020, PUE-V-032: "two device_del of one CPU, both refused: one event, the second answer is lost"
#[test]
fn two_requests_for_one_cpu_that_are_both_refused_have_two_outcomes() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.arm();
        story.device_del(CPU);
        let first = story.token;
        story.device_del(CPU);
        for token in [first, story.token] {
            story.unisolate(CPU0);
            story.refuse(token, CPU0, true);
        }
        story
    }
    assert_eq!(story(Stock::new()).refusals().len(), 1);
    assert_eq!(story(Host::new()).refusals(), [(CPU0, Reason::UNMOVABLE_PAGE, Source::Token); 2]);
}

/// PUE-V-060, PUE-V-061: "device_del CPU twice, refused then accepted: a ghost CPU in QEMU"
#[test]
fn cpu_that_is_given_back_after_a_refusal_is_deleted() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.device_del(CPU);
        story.device_del(CPU);
        story.unisolate(CPU0);
        story.release(CPU0);
        story
    }
    assert!(!story(Stock::new()).is_deleted(CPU));
    assert!(story(Host::new()).is_deleted(CPU));
}

/// PUE-V-053, PUE-V-063, PUE-V-090: "one LMB released, the DIMM refused, device_del again: QEMU aborts"
#[test]
fn dimm_that_is_half_gone_and_was_refused_can_be_asked_for_again() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.device_del(DIMM);
        story.release(LMB0);
        story.unisolate(LMB1);
        story.device_del(DIMM);
        story.release(LMB1);
        story
    }
    assert_eq!(story(Stock::new()).abort, Some("spapr_drc_unplug_request: assertion failed: (drc->dev)"));
    let ours = story(Host::new());
    assert_eq!(ours.abort, None);
    assert!(ours.is_deleted(DIMM));
}

/// PUE-V-080, PUE-V-090: "DIMM unplug pending, live migration, guest refuses: destination QEMU aborts"
#[test]
fn dimm_that_is_refused_after_a_migration_is_told() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.device_del(DIMM);
        story.step(Input::Migrate);
        story.unisolate(LMB0);
        story
    }
    assert_eq!(story(Stock::new()).abort, Some("spapr_memory_unplug_rollback: assertion failed: (ds)"));
    assert_eq!(story(Host::new()).refusals(), [(LMB0, Reason::UNATTRIBUTED, Source::Inferred)]);
}

/// PUE-V-070: "system_reset while pending: a refused unplug turns into a deletion"
#[test]
fn dimm_that_was_refused_survives_a_reset() {
    let (mut stock, mut ours) = (dimm_is_asked_for(Stock::new()), dimm_is_asked_for(Host::new()));
    ours.refuse(ours.token, LMB0, false);
    stock.step(Input::Reset);
    ours.step(Input::Reset);
    assert!(stock.is_deleted(DIMM));
    assert!(!ours.is_deleted(DIMM));
}

/// PUE-V-041: "failed guest-initiated removal also UNISOLATEs: charged to a pending host request"
#[test]
fn removal_that_failed_inside_the_guest_is_not_charged_to_a_request() {
    fn story<V: Vmm>(vmm: V) -> Story<V> {
        let mut story = Story::new(vmm);
        story.arm();
        story.device_del(CPU);
        story.unisolate(CPU0);
        story.release(CPU0);
        story
    }
    assert_eq!(story(Stock::new()).refusals(), [(CPU0, Reason::UNATTRIBUTED, Source::Inferred)]);
    let ours = story(Host::new());
    assert_eq!(ours.refusals(), []);
    assert!(ours.is_deleted(CPU));
}
