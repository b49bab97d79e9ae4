// SPDX-License-Identifier: MIT OR Apache-2.0

//! The DR connectors of a PAPR machine, as a library for VMMs.
//!
//! A VMM passes on what its guest does to DR connectors ([`Tracker::set_indicator`], [`Tracker::get_sensor_state`],
//! [`Tracker::configure`]) and what its user asks for ([`Tracker::request`], [`Tracker::withdraw`]). The calls return
//! RTAS statuses and the hot plug event to send; [`event::Event`]s say how a request ended and which device to delete.
//!
//! Modules in the order that data flows: [`decode`] reads the words of an RTAS call, [`drc`] is one connector, the
//! [`Tracker`] holds all connectors, devices and requests of a machine, and [`event`] is what it tells. [`snapshot`]
//! saves and restores a machine, [`foreign`] imports the state of a VMM without this crate.
//! `spec/protocol.md` defines the protocol; comments cite the clauses of `spec/vmm-conformance.md` (PUE-V-nnn).
//!
//! The crate does no I/O, starts no threads, reads no clock and writes no logs: it is `no_std`. No call of the guest
//! makes it panic, block, or use more memory. Memory depends on the number of connectors ([`Tracker::MAX_CONNECTORS`])
//! and on the bounds of open requests ([`Config`]); if an allocation within these bounds fails, the process aborts, as
//! in all of `alloc`.
//!
//! ```
//! use papr_unplug::{
//!     Config, Offer, Span, Tracker,
//!     event::{End, Event, Requested},
//!     wire::{drc::DrcIndex, hotplug::Resource, offer::{Classes, Features}, reason::Reason, rtas::{Indicator, Status}},
//! };
//!
//! // A machine with a DIMM of two LMBs, which takes reports about memory on indicator 9100.
//! let offer = Offer::new(Indicator(9100), Classes::MEMORY, Features::TOKEN);
//! let mut machine = Tracker::new(Config::default().offer(offer));
//! let dimm = Span::new(DrcIndex(0x8000_0008), 2).unwrap();
//! machine.add_connectors(Resource::MEMORY, dimm)?;
//! machine.plug(dimm)?;
//! machine.boot(dimm.first());
//!
//! // The guest's module arms: from now on it answers every request about memory.
//! let mut events = Vec::new();
//! let answer = machine.set_indicator(&[9100, 0, 0x2001_0004], &mut events);
//! assert_eq!(answer.status, Status::SUCCESS);
//!
//! // device_del: the VMM sends the guest a hot plug event, with a token.
//! let Requested::Ask(ask) = machine.request(dimm.first(), &mut events)? else { panic!() };
//! assert_eq!(ask.section().as_ref().len(), 24);
//!
//! // The guest refuses: a page of the second LMB cannot be moved, errno 16 (EBUSY).
//! let word = 0x8610_0000 | u32::from(ask.token.0);
//! let answer = machine.set_indicator(&[9100, 0x8000_0009, word], &mut events);
//! assert_eq!(answer.status, Status::SUCCESS);
//! let Some(Event::Ended(outcome)) = events.pop() else { panic!() };
//! assert!(matches!(outcome.end, End::Refused(refusal) if refusal.reason == Reason::UNMOVABLE_PAGE));
//! assert_eq!(outcome.request, ask.request);
//! println!("{outcome}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
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

extern crate alloc;

#[cfg(test)]
extern crate std;

pub use papr_unplug_wire::wire;

pub mod decode;
pub mod drc;

mod config;
mod span;
mod tracker;

pub mod event;
pub mod explanation;

pub mod foreign;
pub mod snapshot;

pub use config::{Config, Offer};
pub use span::Span;
pub use tracker::{Answer, Change, Request, RequestError, TopologyError, Tracker};
