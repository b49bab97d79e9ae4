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

/// A requirement that stock QEMU does not meet, and how that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clause {
    /// Its name in `spec/vmm-conformance.md`.
    pub id: &'static str,
    /// What the two do.
    pub shows: &'static str,
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
        let clause = |id, shows| Some(Self { id, shows });
        match (*step, said) {
            (_, (_, Said::Ended(_))) => None,
            (_, (Said::Ended(_), _)) => clause("PUE-V-090", "stock aborts"),
            (Step::Set(REPORTS, ..), _) => clause("PUE-V-013", "stock takes no reports"),
            (Step::Remove(_), (Said::Rejected(_), Said::Accepted)) if open > 0 => {
                clause("PUE-V-050", "stock rejects a device_del while one is open")
            }
            (Step::Set(indicator::ISOLATION, _, 1) | Step::Configure(..), _) if open > 0 && refused == (2, 1) => {
                clause("PUE-V-100", "stock tells one refusal twice")
            }
            (Step::Set(indicator::ISOLATION, _, 1) | Step::Configure(..), _) if open > 0 && refused == (0, 1) => {
                clause("PUE-V-020", "stock answers the first of several device_dels only")
            }
            (Step::Set(indicator::ISOLATION, _, 0), (Said::Status(-1), Said::Status(0))) if is_lmb && wanted => {
                clause("PUE-V-061", "stock takes no LMB back after a refusal")
            }
            (Step::Set(indicator::ISOLATION, _, 0), (Said::Status(-3), Said::Status(0))) => {
                clause("PUE-V-064", "stock lets no connector go that is not configured yet")
            }
            (Step::Set(..), _) if open > 0 && deleted == (0, 1) => {
                clause("PUE-V-060", "stock keeps a device that was given back, having answered an earlier device_del")
            }
            (Step::Set(..), _) if wanted && deleted == (0, 1) => {
                clause("PUE-V-061", "stock keeps a device that was given back after a refusal")
            }
            (Step::Reset, _) if ours.told.len() > stock.told.len() => {
                clause("PUE-V-070", "stock forgets, at a reset, the device_dels that it never answered")
            }
            (Step::Configure(..), _) if is_lmb && open > 0 && refused == (1, 0) => {
                clause("PUE-V-040", "stock takes the rest of a node that was begun before for a hint")
            }
            (Step::Set(indicator::ALLOCATION, _, 1), (Said::Status(-3), Said::Status(0))) if is_lmb && wanted => {
                clause("PUE-V-063", "stock loses an LMB that was given back from its DIMM")
            }
            // Ours has the next one, if there is one.
            (Step::TakeEvent, (Said::Event(event), _)) if past.at_once && event.get(1) == Some(&REMOVE) => {
                clause("PUE-V-054", "stock asks the guest for what is gone already")
            }
            _ => None,
        }
    }
}
