// SPDX-License-Identifier: MIT OR Apache-2.0

//! Toy guest of `spec/model/examples`, on the reference VMM: a guest that was written from the text alone.

#[path = "../../../spec/model/examples/toy-guest/guest.rs"]
#[expect(dead_code, reason = "the toy can do more than is asked of it here")]
mod guest;

use crate::{
    bench::{Bench, Device},
    contract::Answer,
    transcript::{Asked, Call, Entry, Offered, Transcript},
    vm::WithOffer,
};
use anyhow::{Context as _, Result, bail};
use guest::{Guest, Platform, Request};
use papr_unplug_model::{
    machine::{self, CPU, DIMM},
    mutant::Mutant,
    reference::Reference,
    vmm::{Event, Input, Vmm as _},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::HotplugRequest,
    offer::Offer,
    rtas::{Indicator, Status},
    section::{HotplugSection, TokenSection},
    token::Token,
};
use zerocopy::IntoBytes as _;

/// The offer of the reference VMM.
const OFFER: [u8; 12] = [0, 0, 0x23, 0x8C, 0, 0, 0, 0x26, 0, 0, 0, 3];

/// The reason and the errno with which the toy keeps a device.
const BUSY: (u8, u8) = (6, 16);

/// The toy guest on the reference VMM.
pub struct Toy {
    guest: Guest,
    platform: Traced,
    offer: &'static [u8],
    keeps_cpu: bool,
    keeps_memory: bool,
    /// The requests that the guest has taken and not begun with.
    taken: Vec<(machine::Device, Request)>,
}

/// The reference VMM with a trace.
struct Traced {
    vmm: Reference,
    entries: Vec<Entry>,
}

impl Platform for Traced {
    fn set_indicator(&mut self, indicator: u32, index: u32, state: u32) -> i32 {
        let (indicator, index) = (Indicator(indicator), DrcIndex(index));
        let effects = self.vmm.step(Input::SetIndicator(indicator, index, state));
        let status = effects.status.unwrap_or(Status::HARDWARE);
        self.entries.push(Entry::Call(Call { indicator, index, value: state, status }));
        status.0
    }

    fn is_present(&mut self, index: u32) -> bool {
        self.vmm.usable(DrcIndex(index))
    }
}

impl Toy {
    /// Boots the toy, and starts what reports.
    pub fn boot(offer: WithOffer) -> Self {
        let offer: &[u8] = if offer == WithOffer::Yes { &OFFER } else { &[] };
        let platform = Traced { vmm: Reference::of_vectors(Mutant::None), entries: vec![Entry::Begins] };
        let guest = Guest::boot(offer);
        let mut toy = Self { guest, platform, offer, keeps_cpu: false, keeps_memory: false, taken: Vec::new() };
        toy.guest.load(&mut toy.platform);
        toy
    }

    fn keeps(&self, device: machine::Device) -> bool {
        if device == CPU { self.keeps_cpu } else { self.keeps_memory }
    }

    fn ask_once(&mut self, device: machine::Device) -> Result<bool> {
        let effects = self.platform.vmm.step(Input::DeviceDel(device));
        let Some(Ok(request)) = effects.asked else { bail!("the reference VMM rejects a device_del: {effects:?}") };
        let token = effects.events.iter().find_map(|event| match event {
            Event::Hotplug(_, _, token) => Some(*token),
            _ => None,
        });
        let token = token.context("the reference VMM sends no event")?;
        let asked = Asked { request, first: device.first, count: device.count, token, kept: self.keeps(device) };
        self.platform.entries.push(Entry::Asked(asked));
        let event = HotplugRequest::from_bytes(match device {
            CPU => &[1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0],
            _ => &[2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8],
        });
        let event = event.context("a request that cannot be read")?;
        let taken = match token {
            Token::NONE => self.guest.take(HotplugSection::new(event).as_bytes()),
            token => self.guest.take(TokenSection::new(event, token).as_bytes()),
        };
        self.taken.push((device, taken.context("the toy takes no request from the event")?));
        Ok(token.is_some())
    }
}

impl Bench for Toy {
    fn plug(&mut self, _: Device) -> Result<()> {
        Ok(())
    }

    fn keep(&mut self, device: Device, kept: bool) -> Result<Answer> {
        match device {
            Device::Cpu => self.keeps_cpu = kept,
            Device::Dimm => self.keeps_memory = kept,
            Device::Spare => return Ok(Answer::Cannot("the toy has no such device".to_owned())),
        }
        Ok(Answer::Done)
    }

    fn ask(&mut self, device: Device, times: u32) -> Result<bool> {
        let device = match device {
            Device::Cpu => CPU,
            Device::Dimm => DIMM,
            Device::Spare => bail!("the toy has no such device"),
        };
        let mut is_promised = true;
        for _ in 0..times {
            is_promised &= self.ask_once(device)?;
        }
        Ok(is_promised)
    }

    fn settle(&mut self) -> Result<()> {
        for (device, request) in std::mem::take(&mut self.taken) {
            let keeps = self.keeps(device);
            let (guest, platform) = (&mut self.guest, &mut self.platform);
            guest.begin(platform, &request);
            if keeps {
                guest.refuse(platform, &request, device.first.0, BUSY, false);
                continue;
            }
            for DrcIndex(index) in device.connectors() {
                for indicator in [Indicator::ISOLATION_STATE, Indicator::ALLOCATION_STATE] {
                    platform.set_indicator(indicator.0, index, 0);
                }
            }
            guest.finish(platform, &request);
        }
        self.platform.entries.push(Entry::Settled);
        Ok(())
    }

    fn give_back(&mut self, _: Device) -> Result<Answer> {
        Ok(Answer::Cannot("the toy has no administrator".to_owned()))
    }

    fn stop(&mut self) -> Result<Answer> {
        self.platform.entries.push(Entry::Stops);
        self.guest.unload(&mut self.platform);
        self.platform.entries.push(Entry::Stopped);
        Ok(Answer::Done)
    }

    fn start(&mut self) -> Result<Answer> {
        self.platform.entries.push(Entry::Begins);
        self.guest.load(&mut self.platform);
        Ok(Answer::Done)
    }

    fn reset(&mut self) -> Result<()> {
        self.platform.vmm.step(Input::Reset);
        self.platform.entries.push(Entry::Begins);
        self.guest = Guest::boot(self.offer);
        self.guest.load(&mut self.platform);
        Ok(())
    }

    fn finish(self) -> Result<Transcript> {
        let offer = Offer::from_bytes(self.offer).map(|offer| Offered {
            indicator: offer.indicator(),
            classes: offer.classes(),
            features: offer.features(),
        });
        Ok(Transcript { offer, entries: self.platform.entries })
    }
}
