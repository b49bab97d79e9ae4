// SPDX-License-Identifier: GPL-2.0-only

//! Promise of the guest to answer requests: what the hypervisor offers, and what is armed.

use super::rtas::{Busy, Rtas};
use crate::wire::{
    drc::DrcIndex,
    hotplug::Resource,
    offer::{Classes, Features, Offer},
    report::{Report, Word},
    rtas::{Indicator, Status},
};
use core::{fmt, mem};

/// The classes of which the guest knows how their removal ends.
const KNOWN: Classes = Classes::IN_KERNEL.union(Classes::IN_USER_SPACE);
/// The features that this guest has.
const FEATURES: Features = Features::TOKEN.union(Features::STARTED);

/// Answer of the hypervisor to a report about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The report is delivered (PUE-G-042).
    Delivered,
    /// The report is delivered, and the request that it is about has ended.
    Ended,
    /// The hypervisor takes no reports, and will take none before another boot (PUE-G-040).
    Gone,
    /// The hypervisor does not know of the promise (PUE-G-041).
    NotArmed,
}

/// Offer of the hypervisor, and what of it is armed.
///
/// `armed` changes when ARM or DISARM has been sent, so that it is what the hypervisor knows.
#[derive(Clone, Copy, Debug)]
pub struct Arming {
    offer: Option<Offered>,
    armed: Classes,
    features: Features,
    /// The classes whose requests can all be answered.
    kept: Classes,
    stopped: bool,
}

/// The part of an offer that the guest can use.
#[derive(Clone, Copy, Debug)]
struct Offered {
    indicator: Indicator,
    classes: Classes,
    features: Features,
}

impl Arming {
    /// Returns the state in which nothing is offered.
    pub const fn new() -> Self {
        Self {
            offer: None,
            armed: Classes::empty(),
            features: Features::empty(),
            kept: Classes::IN_KERNEL,
            stopped: false,
        }
    }

    /// Reads the value of the property with the offer. Anything else offers nothing (PUE-G-001,
    /// PUE-G-003).
    pub fn discover(&mut self, property: &[u8]) {
        self.offer = Offer::from_bytes(property).map(|offer| Offered {
            indicator: offer.indicator(),
            classes: offer.classes() & KNOWN,
            features: offer.features() & FEATURES,
        });
    }

    /// Returns whether the class of this resource is armed.
    pub fn covers(&self, resource: Resource) -> bool {
        !Classes::of(resource).is_empty() && self.armed.contains(Classes::of(resource))
    }

    /// Returns whether the hypervisor is to hear that a removal begins.
    pub fn tells_starts(&self) -> bool {
        self.features.contains(Features::STARTED)
    }

    /// Returns the classes and features that are armed.
    pub fn armed(&self) -> (Classes, Features) {
        (self.armed, self.features)
    }

    /// Adds the classes that are left to user space to those that ARM names, or removes them.
    /// Returns whether that changes anything.
    pub fn keep_user_space(&mut self, keep: bool) -> bool {
        let kept = if keep { KNOWN } else { Classes::IN_KERNEL };
        mem::replace(&mut self.kept, kept) != kept
    }

    /// Sends ARM for the classes that are offered (PUE-G-004) and kept (PUE-G-073). If there are
    /// none, nothing stays armed. Does nothing after [`Self::stop`].
    pub fn arm(&mut self, rtas: &impl Rtas) -> Result<(), Busy> {
        let Some(Offered { indicator, classes, features }) = self.offer else { return Ok(()) };
        let classes = classes & self.kept;
        if self.stopped {
            return Ok(());
        }
        if classes.is_empty() {
            return self.disarm_if_armed(rtas);
        }
        let status = send(rtas, indicator, Report::Arm { classes, features }.word())?;
        (self.armed, self.features) = if status.0 < 0 {
            (Classes::empty(), Features::empty()) // PUE-G-044
        } else {
            (classes, features)
        };
        Ok(())
    }

    /// Sends DISARM.
    pub fn disarm(&mut self, rtas: &impl Rtas) -> Result<(), Busy> {
        if let Some(Offered { indicator, .. }) = self.offer {
            send(rtas, indicator, Report::Disarm.word())?;
        }
        (self.armed, self.features) = (Classes::empty(), Features::empty());
        Ok(())
    }

    /// Sends DISARM, unless nothing is armed.
    pub fn disarm_if_armed(&mut self, rtas: &impl Rtas) -> Result<(), Busy> {
        if self.armed.is_empty() {
            return Ok(());
        }
        self.disarm(rtas)
    }

    /// Lets no ARM be sent any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Sends a report about a request.
    pub fn report(
        &mut self,
        rtas: &impl Rtas,
        connector: DrcIndex,
        word: Word,
    ) -> Result<Answer, Busy> {
        let Some(Offered { indicator, .. }) = self.offer else { return Ok(Answer::Gone) };
        match rtas.set_indicator(indicator, connector, word.0) {
            busy if busy.is_busy() => Err(Busy(busy)),
            Status::NO_SUCH_INDICATOR => {
                *self = Self { kept: self.kept, stopped: self.stopped, ..Self::new() };
                Ok(Answer::Gone)
            }
            Status::NOT_ARMED => Ok(Answer::NotArmed),
            Status::ALREADY => Ok(Answer::Ended),
            _ => Ok(Answer::Delivered),
        }
    }
}

/// Sends ARM or DISARM, which name no connector (PUE-G-015).
fn send(rtas: &impl Rtas, indicator: Indicator, word: Word) -> Result<Status, Busy> {
    match rtas.set_indicator(indicator, DrcIndex(0), word.0) {
        busy if busy.is_busy() => Err(Busy(busy)),
        status => Ok(status),
    }
}

/// The line of the debugfs file `promise`.
impl fmt::Display for Arming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Offered { indicator, classes, features }) = self.offer else {
            return f.write_str("offered none");
        };
        write!(
            f,
            "offered indicator={} classes={:#x} features={:#x}, armed classes={:#x} features={:#x}",
            indicator.0, classes.0, features.0, self.armed.0, self.features.0
        )
    }
}
