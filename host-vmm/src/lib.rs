// SPDX-License-Identifier: MIT OR Apache-2.0

//! The DR connectors of a PAPR machine, as a VMM builds them in.
//!
//! A VMM hands over what its guest does to DR connectors ([`Tracker::set_indicator`], [`Tracker::get_sensor_state`],
//! [`Tracker::configure`]) and what its user asks for ([`Tracker::request`]). It gets RTAS statuses back, and
//! [`event::Event`]s: send the guest a hot plug event, tell the user how a request ended, take a device away.
//!
//! In the order that data flows: [`decode`] reads the words of an RTAS call, [`drc`] is one connector, the [`Tracker`]
//! has all connectors, devices and requests of a machine, [`event`] is what comes out. [`snapshot`] saves and
//! restores, [`foreign`] takes what a VMM without this crate migrates.
//! What the guest and the VMM say to each other is defined in `spec/protocol.md`; comments cite the clauses of
//! `spec/vmm-conformance.md` (PUE-V-nnn).
//!
//! The crate does no I/O, starts no threads, reads no clock and writes no logs; nothing the guest says makes it panic,
//! block, or grow.
//!
//! ```
//! use papr_unplug::{
//!     Config, Span, Tracker,
//!     event::{End, Event},
//!     offer,
//!     wire::{drc::DrcIndex, hotplug::Resource, offer::{Classes, Features}, reason::Reason, rtas::{Indicator, Status}},
//! };
//!
//! // A machine with a DIMM of two LMBs, which takes reports about memory on indicator 9100.
//! let offer = offer(Indicator(9100), Classes::MEMORY, Features::TOKEN);
//! let mut machine = Tracker::new(Config { offer, ..Config::default() });
//! let dimm = Span::new(DrcIndex(0x8000_0008), 2).unwrap();
//! machine.add_connectors(Resource::MEMORY, dimm)?;
//! machine.plug(dimm)?;
//! machine.boot(dimm.first());
//!
//! // The guest's module arms: from now on it answers every request about memory.
//! let mut events = Vec::new();
//! assert_eq!(machine.set_indicator(&[9100, 0, 0x2001_0004], &mut events), Status::SUCCESS);
//!
//! // device_del: the guest is to be asked, with a token.
//! let request = machine.request(dimm.first(), &mut events)?;
//! let Some(Event::Ask(ask)) = events.pop() else { panic!() };
//! assert_eq!(ask.section().as_ref().len(), 24);
//!
//! // The guest refuses: a page of the second LMB cannot be moved, errno 16 (EBUSY).
//! let word = 0x8610_0000 | u32::from(ask.token.0);
//! assert_eq!(machine.set_indicator(&[9100, 0x8000_0009, word], &mut events), Status::SUCCESS);
//! let Some(Event::Ended(outcome)) = events.pop() else { panic!() };
//! assert!(matches!(outcome.end, End::Refused(refusal) if refusal.reason == Reason::UNMOVABLE_PAGE));
//! assert_eq!(outcome.request, request);
//! println!("{outcome}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub use papr_unplug_wire::wire;

pub mod decode;
pub mod drc;

mod span;
mod tracker;

pub mod event;
pub mod explanation;

pub mod foreign;
pub mod snapshot;

pub use span::Span;
pub use tracker::{Config, Request, RequestError, TopologyError, Tracker, offer};
