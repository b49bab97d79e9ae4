// SPDX-License-Identifier: MIT OR Apache-2.0

//! A toy guest talks to the reference VMM: a busy DIMM is refused, asked for again, and given back; a function is refused
//! because no agent is there, and because the agent fails; a request for the CPU is lost.
//!
//! `cargo run -p papr-unplug-model --example toy-guest`

#![forbid(unsafe_code)]

mod guest;

use guest::{Guest, Platform, Request};
use papr_unplug_model::{
    machine::{CPU, DIMM, Device, FUNCTION0},
    mutant::Mutant,
    reference::Reference,
    vmm::{Effects, Event, Input, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    hotplug::HotplugRequest,
    rtas::Indicator,
    section::{HotplugSection, TokenSection},
    token::Token,
};
use zerocopy::IntoBytes as _;

const OFFER: [u8; 12] = [0, 0, 0x23, 0x8C, 0, 0, 0, 0x26, 0, 0, 0, 3];
const LMBS: [u32; 2] = [0x8000_0008, 0x8000_0009];

struct Talk(Reference);

impl Talk {
    fn step(&mut self, input: Input) -> Effects {
        let effects = self.0.step(input);
        println!("{input}{}", effects.status.map(|status| format!(" -> {status}")).unwrap_or_default());
        effects.events.iter().for_each(|event| println!("    {event}"));
        effects
    }

    /// The user asks for a device, and the guest takes the hot plug event.
    fn ask(&mut self, device: Device, guest: &Guest) -> Option<Request> {
        let effects = self.step(Input::DeviceDel(device));
        let token = effects.events.iter().find_map(|event| match event {
            Event::Hotplug(_, _, token) => Some(*token),
            _ => None,
        })?;
        let request = HotplugRequest::from_bytes(match device {
            CPU => &[1, 2, 2, 0, 0x10, 0, 0, 1, 0, 0, 0, 0],
            FUNCTION0 => &[5, 2, 2, 0, 0x40, 0, 1, 0, 0, 0, 0, 0],
            _ => &[2, 2, 4, 0, 0, 0, 0, 2, 0x80, 0, 0, 8],
        })?;
        match token {
            Token::NONE => guest.take(HotplugSection::new(request).as_bytes()),
            token => guest.take(TokenSection::new(request, token).as_bytes()),
        }
    }
}

impl Platform for Talk {
    fn set_indicator(&mut self, indicator: u32, index: u32, state: u32) -> i32 {
        let effects = self.step(Input::SetIndicator(Indicator(indicator), DrcIndex(index), state));
        effects.status.map_or(-1, |status| status.0)
    }

    fn is_present(&mut self, _: u32) -> bool {
        true
    }
}

fn main() {
    let mut talk = Talk(Reference::of_vectors(Mutant::None));
    let mut guest = Guest::boot(&OFFER);
    guest.load(&mut talk);

    if let Some(request) = talk.ask(DIMM, &guest) {
        guest.begin(&mut talk, &request);
        guest.refuse(&mut talk, &request, LMBS[1], (6, 16), false);
    }
    if let Some(request) = talk.ask(DIMM, &guest) {
        guest.begin(&mut talk, &request);
        for lmb in LMBS {
            talk.set_indicator(9001, lmb, 0);
            talk.set_indicator(9003, lmb, 0);
        }
        guest.finish(&mut talk, &request);
    }

    // Nobody can read the first request for a function; an agent takes the second, and fails.
    if let Some(request) = talk.ask(FUNCTION0, &guest) {
        guest.keep(&mut talk, request, false);
    }
    if let Some(request) = talk.ask(FUNCTION0, &guest) {
        guest.keep(&mut talk, request, true);
        if let Some(request) = guest.read() {
            guest.agent_ended(&mut talk, &request, 255);
        }
        guest.agent_gone(&mut talk);
    }

    // From here on the guest answers for CPUs only, and loses what it is asked; then its module is unloaded.
    guest.withdraw(&mut talk, 2);
    if let Some(request) = talk.ask(CPU, &guest) {
        guest.lose(&mut talk, &request);
    }
    guest.unload(&mut talk);
}
