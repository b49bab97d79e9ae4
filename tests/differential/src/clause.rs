// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why a VMM that conforms to `spec/vmm-conformance.md` answers differently from one that is stock QEMU.

use crate::{
    answer::{Answer, Said, Told, What},
    machine::Device,
    step::{
        Step,
        indicator::{self, REPORTS},
    },
};
use std::collections::BTreeMap;

/// LoPAR's hotplug action of an event that asks for a device.
const REMOVE: u8 = 2;

/// How stock QEMU differs from a VMM that meets a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clause {
    /// It has no indicator for reports.
    NoReports,
    /// It answers one of the open requests.
    FirstAnswerOnly,
    /// A hint that none is.
    BegunNode,
    /// A device that is asked for cannot be asked for.
    OneRequest,
    /// An event about nothing.
    StaleEvent,
    /// A device that is given back with a request open.
    KeptWhileOpen,
    /// A device that is given back with none open.
    KeptWhileWanted,
    /// An LMB that cannot be given back.
    NotTakenBack,
    /// An LMB that is not its DIMM's any more.
    LostLmb,
    /// A connector that is not the guest's yet.
    NotConfigured,
    /// A reset.
    ForgottenAtReset,
    /// A guest can end it.
    Abort,
    /// A refusal that is told again.
    ToldTwice,
}

/// What both parties agreed on up to now, as far as it explains what they disagree on next.
#[derive(Clone, Debug, Default)]
pub struct Past {
    devices: BTreeMap<Device, Wish>,
    /// Whether a device_del ended at once.
    at_once: bool,
}

/// What the host wants of a device.
#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    /// device_dels that were accepted and not answered.
    open: usize,
    /// Whether it was asked for since it was plugged or the machine reset.
    wanted: bool,
}

impl Past {
    /// Takes one more step to the past.
    pub fn note(&mut self, step: &Step, answer: &Answer) {
        match (step, &answer.said) {
            (Step::Remove(device), Said::Accepted) => {
                let wish = self.devices.entry(*device).or_default();
                (wish.open, wish.wanted) = (wish.open + 1, true);
                self.at_once |= answer.count(*device, What::Deleted) > 0;
            }
            (Step::Reset, _) => self.devices.clear(),
            _ => {}
        }
        for Told { device, what } in &answer.told {
            match what {
                What::Deleted => drop(self.devices.remove(device)),
                What::Refused => {
                    let wish = self.devices.entry(*device).or_default();
                    wish.open = wish.open.saturating_sub(1);
                }
            }
        }
    }

    fn wish(&self, device: Option<Device>) -> Wish {
        device.and_then(|device| self.devices.get(&device)).copied().unwrap_or_default()
    }
}

impl Clause {
    /// Why `ours` is right to differ from `stock`, if it is.
    pub fn of(past: &Past, step: &Step, stock: &Answer, ours: &Answer) -> Option<Self> {
        let device = step.device();
        let Wish { open, wanted } = past.wish(device);
        let told = |answer: &Answer, what| device.map_or(0, |device| answer.count(device, what));
        let refused = (told(stock, What::Refused), told(ours, What::Refused));
        let deleted = (told(stock, What::Deleted), told(ours, What::Deleted));
        let said = (&stock.said, &ours.said);
        let is_lmb = device.is_some_and(Device::is_dimm);
        let alike = stock.said == ours.said;
        // What only ours tells, and all of that.
        let forgotten = |past: &Past| {
            let more = ours.told.iter().filter(|told| !stock.told.contains(told));
            ours.told.len() > stock.told.len() && more.into_iter().all(|told| past.wish(Some(told.device)).open > 0)
        };
        Some(match (*step, said) {
            (_, (_, Said::Ended(_))) => return None,
            (_, (Said::Ended(_), _)) => Self::Abort,
            (Step::Set(REPORTS, ..), (Said::Status(-3), _)) => Self::NoReports,
            (Step::Remove(_), (Said::Rejected(_), Said::Accepted)) if open > 0 => Self::OneRequest,
            (Step::Set(indicator::ISOLATION, _, 1) | Step::Configure(..), _) if alike && open > 0 => match refused {
                (2, 1) => Self::ToldTwice,
                (0, 1) => Self::FirstAnswerOnly,
                (1, 0) if is_lmb && matches!(step, Step::Configure(..)) => Self::BegunNode,
                _ => return None,
            },
            (Step::Set(indicator::ISOLATION, _, 0), (Said::Status(-1), Said::Status(0))) if is_lmb && wanted => {
                Self::NotTakenBack
            }
            (Step::Set(indicator::ISOLATION, _, 0), (Said::Status(-3), Said::Status(0))) => Self::NotConfigured,
            (Step::Set(indicator::ALLOCATION, _, 1), (Said::Status(-3), Said::Status(0))) if is_lmb && wanted => {
                Self::LostLmb
            }
            (Step::Set(..), _) if alike && open > 0 && deleted == (0, 1) => Self::KeptWhileOpen,
            (Step::Set(..), _) if alike && wanted && deleted == (0, 1) => Self::KeptWhileWanted,
            (Step::Reset, _) if alike && forgotten(past) => Self::ForgottenAtReset,
            // Ours has the next one, if there is one.
            (Step::TakeEvent, (Said::Event(event), _)) if past.at_once && event.get(1) == Some(&REMOVE) => {
                Self::StaleEvent
            }
            _ => return None,
        })
    }

    /// All of them, in the order of the requirements.
    pub const ALL: [Self; 13] = [
        Self::NoReports,
        Self::FirstAnswerOnly,
        Self::BegunNode,
        Self::OneRequest,
        Self::StaleEvent,
        Self::KeptWhileOpen,
        Self::KeptWhileWanted,
        Self::NotTakenBack,
        Self::LostLmb,
        Self::NotConfigured,
        Self::ForgottenAtReset,
        Self::Abort,
        Self::ToldTwice,
    ];

    /// The requirement's name in `spec/vmm-conformance.md`.
    pub fn id(self) -> &'static str {
        self.words().0
    }

    /// How the difference shows.
    pub fn shows(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoReports => ("PUE-V-013", "stock takes no reports"),
            Self::FirstAnswerOnly => ("PUE-V-020", "stock answers the first of several device_dels only"),
            Self::BegunNode => ("PUE-V-040", "stock takes the rest of a node that was begun before for a hint"),
            Self::OneRequest => ("PUE-V-050", "stock rejects a device_del while one is open"),
            Self::StaleEvent => ("PUE-V-054", "stock asks the guest for what is gone already"),
            Self::KeptWhileOpen => {
                ("PUE-V-060", "stock keeps a device that was given back, having answered an earlier device_del")
            }
            Self::KeptWhileWanted => ("PUE-V-061", "stock keeps a device that was given back after a refusal"),
            Self::NotTakenBack => ("PUE-V-061", "stock takes no LMB back after a refusal"),
            Self::LostLmb => ("PUE-V-063", "stock loses an LMB that was given back from its DIMM"),
            Self::NotConfigured => ("PUE-V-064", "stock lets no connector go that is not configured yet"),
            Self::ForgottenAtReset => {
                ("PUE-V-070", "stock forgets, at a reset, the device_dels that it never answered")
            }
            Self::Abort => ("PUE-V-090", "stock aborts"),
            Self::ToldTwice => ("PUE-V-100", "stock tells one refusal twice"),
        }
    }
}
