// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requirements of `spec/vmm-conformance.md` that explain why a conforming VMM answers differently from stock QEMU.

use crate::{
    answer::{Answer, DeviceEvent, EventKind, Response},
    machine::Device,
    step::{
        Step,
        indicator::{self, REPORTS},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// LoPAR's hotplug action "remove" in a hot plug section.
const REMOVE: u8 = 2;

/// A difference between stock QEMU and a VMM that meets a requirement. Each variant says what stock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clause {
    /// Stock has no indicator for reports.
    NoReports,
    /// Stock answers one of the open requests.
    FirstAnswerOnly,
    /// Stock takes the rest of a node for a hint.
    BegunNode,
    /// Stock takes no hint at a physical connector.
    PhysicalHint,
    /// Stock rejects a device_del while one is open.
    OneRequest,
    /// Stock queues an event about a device that is released at once.
    StaleEvent,
    /// Stock delivers events about a device that is gone, or whose request has ended.
    LeftEvent,
    /// Stock keeps a device that the guest gives back while a request is open.
    KeptWhileOpen,
    /// Stock keeps a device that the guest gives back after its request was refused.
    KeptWhileWanted,
    /// Stock rejects the release of an LMB after a refusal.
    NotTakenBack,
    /// Stock rejects the release of an LMB of a DIMM that was not asked for.
    KeptLmb,
    /// Stock detaches an LMB from its DIMM when the guest gives it back.
    LostLmb,
    /// Stock rejects the release of a connector that is not configured.
    NotConfigured,
    /// Stock drops requests without an outcome at a reset.
    ForgottenAtReset,
    /// Stock ends.
    Abort,
    /// Stock sends two events for one refusal.
    ToldTwice,
}

/// The host's requests up to now, on which both parties agree.
#[derive(Clone, Debug, Default)]
pub struct Past {
    devices: BTreeMap<Device, Requests>,
    /// The LMBs that the guest has given back of DIMMs that are still there, also before a reset.
    given_back: BTreeSet<u32>,
    /// True if a device_del was answered before it returned.
    at_once: bool,
    /// True if a device has gone or a request has ended.
    ended: bool,
}

/// The host's requests for a device.
#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    /// The number of device_dels that were accepted and have no outcome.
    open: usize,
    /// True if a device_del was accepted since the device was plugged or the machine reset.
    wanted: bool,
}

impl Past {
    /// Records a step and its answer.
    pub fn note(&mut self, step: &Step, answer: &Answer) {
        match (step, &answer.response) {
            (Step::Remove(device), Response::Accepted) => {
                let requests = self.devices.entry(*device).or_default();
                (requests.open, requests.wanted) = (requests.open + 1, true);
                self.at_once |= answer.count(*device, EventKind::Deleted) > 0;
            }
            (Step::Set(indicator::ALLOCATION, index, 0), Response::Status(0)) => {
                self.given_back.insert(*index);
            }
            (Step::Reset, _) => self.devices.clear(),
            _ => {}
        }
        self.ended |= !answer.events.is_empty();
        for DeviceEvent { device, kind } in &answer.events {
            match kind {
                EventKind::Deleted => {
                    self.devices.remove(device);
                    self.given_back.retain(|given| !device.connectors().any(|index| index == *given));
                }
                EventKind::Refused => {
                    let requests = self.devices.entry(*device).or_default();
                    requests.open = requests.open.saturating_sub(1);
                }
            }
        }
    }

    fn requests(&self, device: Option<Device>) -> Requests {
        device.and_then(|device| self.devices.get(&device)).copied().unwrap_or_default()
    }
}

impl Clause {
    /// Returns the requirement by which `ours` differs from `stock`, or `None` if no requirement explains it.
    pub fn of(past: &Past, step: &Step, stock: &Answer, ours: &Answer) -> Option<Self> {
        let device = step.device();
        let Requests { open, wanted } = past.requests(device);
        let count = |answer: &Answer, kind| device.map_or(0, |device| answer.count(device, kind));
        let refused = (count(stock, EventKind::Refused), count(ours, EventKind::Refused));
        let deleted = (count(stock, EventKind::Deleted), count(ours, EventKind::Deleted));
        let responses = (&stock.response, &ours.response);
        let is_lmb = device.is_some_and(Device::is_dimm);
        let is_physical = device.is_some_and(|device| device.is_pci() && device != Device::Phb);
        let alike = stock.response == ours.response;
        // Every event that only ours sends is about a device with an open request.
        let forgotten = |past: &Past| {
            let more = ours.events.iter().filter(|event| !stock.events.contains(event));
            let is_open = |event: &DeviceEvent| past.requests(Some(event.device)).open > 0;
            ours.events.len() > stock.events.len() && more.into_iter().all(is_open)
        };
        Some(match (*step, responses) {
            (_, (_, Response::Ended(_))) => return None,
            (_, (Response::Ended(_), _)) => Self::Abort,
            (Step::Set(REPORTS, ..), (Response::Status(-3), _)) => Self::NoReports,
            (Step::Remove(_), (Response::Rejected(_), Response::Accepted)) if open > 0 => Self::OneRequest,
            (Step::Set(indicator::ISOLATION, _, 1) | Step::Configure(..), _) if alike && open > 0 => match refused {
                (2, 1) => Self::ToldTwice,
                (0, 1) if is_physical => Self::PhysicalHint,
                (0, 1) => Self::FirstAnswerOnly,
                (1, 0) if is_lmb && matches!(step, Step::Configure(..)) => Self::BegunNode,
                _ => return None,
            },
            (Step::Set(indicator::ISOLATION, _, 0), (Response::Status(-1), Response::Status(0)))
                if is_lmb && wanted =>
            {
                Self::NotTakenBack
            }
            (Step::Set(indicator::ISOLATION, _, 0), (Response::Status(-1), Response::Status(0))) if is_lmb => {
                Self::KeptLmb
            }
            (Step::Set(indicator::ISOLATION, _, 0), (Response::Status(-3), Response::Status(0))) => Self::NotConfigured,
            (Step::Set(indicator::ALLOCATION, index, 1), (Response::Status(-3), Response::Status(0)))
                if is_lmb && past.given_back.contains(&index) =>
            {
                Self::LostLmb
            }
            (Step::Set(..), _) if alike && open > 0 && deleted == (0, 1) => Self::KeptWhileOpen,
            (Step::Set(..), _) if alike && wanted && deleted == (0, 1) => Self::KeptWhileWanted,
            (Step::Reset, _) if alike && forgotten(past) => Self::ForgottenAtReset,
            // Ours returns the next event, or none.
            (Step::TakeEvent, (Response::Event(event), _)) if past.at_once && event.get(1) == Some(&REMOVE) => {
                Self::StaleEvent
            }
            (Step::TakeEvent, (Response::Event(_), _)) if past.ended => Self::LeftEvent,
            _ => return None,
        })
    }

    /// Every clause, in the order of the requirements.
    pub const ALL: [Self; 16] = [
        Self::NoReports,
        Self::FirstAnswerOnly,
        Self::BegunNode,
        Self::PhysicalHint,
        Self::OneRequest,
        Self::StaleEvent,
        Self::KeptWhileOpen,
        Self::KeptWhileWanted,
        Self::NotTakenBack,
        Self::LostLmb,
        Self::NotConfigured,
        Self::KeptLmb,
        Self::ForgottenAtReset,
        Self::LeftEvent,
        Self::Abort,
        Self::ToldTwice,
    ];

    /// Returns the requirement's ID in `spec/vmm-conformance.md`.
    pub fn id(self) -> &'static str {
        self.words().0
    }

    /// Returns a sentence that describes the difference.
    pub fn shows(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoReports => ("PUE-V-013", "stock takes no reports"),
            Self::FirstAnswerOnly => ("PUE-V-020", "stock answers the first of several device_dels only"),
            Self::BegunNode => ("PUE-V-040", "stock takes the rest of a node that was begun before for a hint"),
            Self::PhysicalHint => ("PUE-V-040", "stock takes no hint at the connector of a PCI function"),
            Self::OneRequest => ("PUE-V-050", "stock rejects a device_del while one is open"),
            Self::StaleEvent => ("PUE-V-054", "stock asks the guest for what is gone already"),
            Self::KeptWhileOpen => {
                ("PUE-V-060", "stock keeps a device that was given back, having answered an earlier device_del")
            }
            Self::KeptWhileWanted => ("PUE-V-061", "stock keeps a device that was given back after a refusal"),
            Self::NotTakenBack => ("PUE-V-061", "stock takes no LMB back after a refusal"),
            Self::KeptLmb => ("PUE-V-064", "stock takes no LMB back that was not asked for"),
            Self::LostLmb => ("PUE-V-063", "stock loses an LMB that was given back from its DIMM"),
            Self::NotConfigured => ("PUE-V-064", "stock lets no connector go that is not configured yet"),
            Self::ForgottenAtReset => {
                ("PUE-V-070", "stock forgets, at a reset, the device_dels that it never answered")
            }
            Self::LeftEvent => ("PUE-V-074", "stock delivers events about what is gone"),
            Self::Abort => ("PUE-V-090", "stock aborts"),
            Self::ToldTwice => ("PUE-V-100", "stock tells one refusal twice"),
        }
    }
}
