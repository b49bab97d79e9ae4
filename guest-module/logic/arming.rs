// SPDX-License-Identifier: GPL-2.0-only

//! What this guest has promised to answer.

use super::rtas::{Busy, Rtas};
use crate::wire::{
    drc::DrcIndex,
    hotplug::Resource,
    offer::{Classes, Features, Offer},
    report::{Report, Word},
    rtas::{Indicator, Status},
};
use core::{
    fmt,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

/// The classes that the kernel's own removal path handles, so that all of their requests can be answered. PCI and PHB
/// events go to user space.
const KEPT: Classes = Classes::IN_KERNEL;
/// What this guest does besides.
const DONE_BESIDES: Features = Features::TOKEN.union(Features::STARTED);

/// How the hypervisor took a report about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it (PUE-G-042).
    Delivered,
    /// It takes no reports, and will not before another boot (PUE-G-040).
    Gone,
    /// It does not know of the promise (PUE-G-041).
    NotArmed,
}

/// What the hypervisor offers, and what is promised.
///
/// Whoever changes `armed` says so to the hypervisor: before ARM is sent, so that no attempt that ends meanwhile is left
/// to a hint, which an armed guest's hypervisor does not take for an answer; and before DISARM is sent, because the hint
/// of an attempt that ends meanwhile becomes the answer when DISARM comes.
#[derive(Debug)]
pub struct Arming {
    /// The indicator in bits 0 to 15, the classes in 16 to 31, the features in 32 to 39; 0 for no offer.
    offer: AtomicU64,
    /// The classes in bits 0 to 15, the features in 16 to 23.
    armed: AtomicU32,
    /// Nothing is to be promised any more.
    stopped: AtomicBool,
}

impl Arming {
    /// Nothing is offered.
    pub const fn new() -> Self {
        Self { offer: AtomicU64::new(0), armed: AtomicU32::new(0), stopped: AtomicBool::new(false) }
    }

    /// This is the value of the offer's property; what is not an offer is none (PUE-G-001, PUE-G-003).
    pub fn discover(&self, property: &[u8]) {
        let word = Offer::from_bytes(property).map_or(0, |offer| {
            u64::from(offer.indicator().0)
                | u64::from((offer.classes() & KEPT).0) << 16
                | u64::from((offer.features() & DONE_BESIDES).0) << 32
        });
        self.offer.store(word, Relaxed);
    }

    /// Whether requests of this type are answered by reports.
    pub fn covers(&self, resource: Resource) -> bool {
        !Classes::of(resource).is_empty() && self.armed().0.contains(Classes::of(resource))
    }

    /// Whether the hypervisor wants to hear that an attempt begins.
    pub fn tells_starts(&self) -> bool {
        self.armed().1.contains(Features::STARTED)
    }

    /// What is promised.
    pub fn armed(&self) -> (Classes, Features) {
        let word = self.armed.load(SeqCst);
        (Classes(word as u16), Features((word >> 16) as u8))
    }

    /// Whether there is anybody to report to.
    pub fn is_offered(&self) -> bool {
        self.offered().is_some()
    }

    /// Promises to answer what is offered and kept (PUE-G-004). If firmware is busy it is promised but not yet said.
    pub fn arm(&self, rtas: &impl Rtas) -> Result<(), Busy> {
        let Some((indicator, classes, features)) = self.offered().filter(|(_, classes, _)| !classes.is_empty()) else {
            return Ok(());
        };
        if self.stopped.load(SeqCst) {
            return Ok(());
        }
        self.armed.store(u32::from(classes.0) | u32::from(features.0) << 16, SeqCst);
        let said = say(rtas, indicator, Report::Arm { classes, features }.word());
        if said.is_ok_and(|status| status.0 < 0) {
            self.armed.store(0, SeqCst); // PUE-G-044
        }
        if self.stopped.load(SeqCst) {
            // Whoever stopped it may have said DISARM before the ARM above. If firmware is busy now, it was for ARM.
            return self.disarm(rtas);
        }
        said.map(|_| ())
    }

    /// Promises nothing any more, for now. If firmware is busy, what was promised is kept until it can be said: an armed
    /// guest's hypervisor takes two hints for one device for one.
    pub fn disarm(&self, rtas: &impl Rtas) -> Result<(), Busy> {
        let armed = self.armed.swap(0, SeqCst);
        let Some((indicator, ..)) = self.offered() else { return Ok(()) };
        let said = say(rtas, indicator, Report::Disarm.word());
        if said.is_err() && !self.stopped.load(SeqCst) {
            // Whoever has armed meanwhile, or has said DISARM, is right; in the latter case the next report is answered by
            // -9006, and a hint follows.
            let _ = self.armed.compare_exchange(0, armed, SeqCst, Relaxed);
            if self.stopped.load(SeqCst) {
                self.armed.store(0, SeqCst);
            }
        }
        said.map(|_| ())
    }

    /// Nothing is to be promised any more. DISARM is still to be said.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.armed.store(0, SeqCst);
    }

    /// Reports about a request, once.
    pub fn report(&self, rtas: &impl Rtas, connector: DrcIndex, word: Word) -> Result<Answer, Busy> {
        let Some((indicator, ..)) = self.offered() else { return Ok(Answer::Gone) };
        match rtas.set_indicator(indicator, connector, word.0) {
            busy if busy.is_busy() => Err(Busy(busy)),
            Status::NO_SUCH_INDICATOR => {
                self.offer.store(0, Relaxed);
                self.armed.store(0, SeqCst);
                Ok(Answer::Gone)
            }
            Status::NOT_ARMED => Ok(Answer::NotArmed),
            _ => Ok(Answer::Delivered),
        }
    }

    fn offered(&self) -> Option<(Indicator, Classes, Features)> {
        let word = self.offer.load(Relaxed);
        (word != 0).then_some((
            Indicator(u32::from(word as u16)),
            Classes((word >> 16) as u16),
            Features((word >> 32) as u8),
        ))
    }
}

/// ARM or DISARM, which name no connector (PUE-G-015).
fn say(rtas: &impl Rtas, indicator: Indicator, word: Word) -> Result<Status, Busy> {
    match rtas.set_indicator(indicator, DrcIndex(0), word.0) {
        busy if busy.is_busy() => Err(Busy(busy)),
        status => Ok(status),
    }
}

/// One line: what the hypervisor offers to take, and what of it is promised now.
impl fmt::Display for Arming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offered() {
            None => f.write_str("offered none"),
            Some((indicator, classes, features)) => {
                let (armed, besides) = self.armed();
                write!(
                    f,
                    "offered indicator={} classes={:#x} features={:#x}, armed classes={:#x} features={:#x}",
                    indicator.0, classes.0, features.0, armed.0, besides.0
                )
            }
        }
    }
}
