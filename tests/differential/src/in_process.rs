// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate `papr-unplug` as a party, in this process: what a VMM does that is nothing but the crate and its glue.

use crate::{
    answer::{Answer, MORE, Said, Told, What},
    machine::{BOOT_CORE, Device, OTHERS},
    party::Party,
    step::{Step, indicator::REPORTS},
};
use anyhow::{Context as _, Result};
use papr_unplug::{
    Config, Span, Tracker,
    drc::NOT_CONFIGURABLE,
    event::{End, Event},
    offer,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{Indicator, Status},
        token::Token,
    },
};
use std::collections::{BTreeSet, VecDeque};

/// A machine of connectors and nothing else.
#[derive(Debug)]
pub struct InProcess {
    tracker: Tracker,
    /// The hot plug events that the guest has not taken.
    queue: VecDeque<Vec<u8>>,
    events: Vec<Event>,
    /// The connectors whose node the guest has begun to read, and not read to its end.
    begun: BTreeSet<u32>,
}

impl InProcess {
    /// The machine as every sequence begins on it.
    pub fn new() -> Result<Self> {
        let offer = offer(Indicator(REPORTS), Classes::CPU | Classes::MEMORY, Features::TOKEN | Features::STARTED);
        let mut tracker = Tracker::new(Config { offer, ..Config::default() });
        for index in Device::ALL.into_iter().flat_map(Device::connectors).chain(OTHERS) {
            if let Some(resource) = resource_of(index) {
                tracker.add_connectors(resource, span(index, 1)?)?;
            }
        }
        for device in Device::ALL {
            tracker.plug(span(device.first(), device.count())?)?;
            tracker.boot(DrcIndex(device.first()));
        }
        tracker.plug(span(BOOT_CORE, 1)?)?;
        tracker.boot(DrcIndex(BOOT_CORE));
        Ok(Self { tracker, queue: VecDeque::new(), events: Vec::new(), begun: BTreeSet::new() })
    }

    fn has(&self, device: Device) -> bool {
        self.tracker.device(DrcIndex(device.first())).is_some()
    }

    fn configure(&mut self, index: u32, calls: u32) -> i32 {
        let drc = DrcIndex(index);
        let status = match self.begun.contains(&index) {
            true if self.tracker.is_configurable(drc) => Status::SUCCESS,
            true => NOT_CONFIGURABLE,
            false if self.tracker.state(drc).is_none() => Status::NO_SUCH_INDICATOR,
            false => self.tracker.configure(drc, &mut self.events),
        };
        if status != Status::SUCCESS {
            return status.0;
        }
        if calls == 1 {
            self.begun.insert(index);
            return MORE;
        }
        self.begun.remove(&index);
        self.tracker.configured(drc).0
    }

    fn take(&mut self, step: &Step) -> Result<Said> {
        let present = step.device().is_some_and(|device| self.has(device));
        let Self { tracker, events, .. } = self;
        Ok(match *step {
            Step::Set(indicator, index, value) => {
                let before = tracker.state(DrcIndex(index));
                let status = tracker.set_indicator(&[indicator, index, value], events);
                // A connector that was isolated is read from the beginning.
                if tracker.state(DrcIndex(index)) != before {
                    self.begun.remove(&index);
                }
                Said::Status(status.0)
            }
            Step::Sense(sensor, index) => {
                let (status, sense) = tracker.get_sensor_state(&[sensor, index]);
                Said::Sensed(status.0, sense.0)
            }
            Step::Configure(index, calls) => Said::Status(self.configure(index, calls)),
            Step::TakeEvent => self.queue.pop_front().map_or(Said::NoEvent, Said::Event),
            Step::Remove(_) if !present => Said::Rejected("there is no such device".to_owned()),
            Step::Remove(device) => match tracker.request(DrcIndex(device.first()), events) {
                Ok(_) => Said::Accepted,
                Err(error) => Said::Rejected(error.to_string()),
            },
            Step::Add(_) if present => Said::Rejected("there is one".to_owned()),
            Step::Add(device) => {
                let connectors = span(device.first(), device.count())?;
                tracker.plug(connectors)?;
                self.queue.push_back(section(connectors, 1, Token::NONE));
                Said::Accepted
            }
            Step::Reset => {
                tracker.reset(events);
                self.begun.clear();
                Said::Accepted
            }
        })
    }
}

impl Party for InProcess {
    /// Requests and tokens go on where they were, as in a VMM that runs on.
    fn renew(&mut self) -> Result<()> {
        self.play(&Step::DISARM)?;
        for device in Device::ALL {
            let first = DrcIndex(device.first());
            self.tracker.unplug(first, &mut self.events);
            self.tracker.plug(span(device.first(), device.count())?)?;
            self.tracker.boot(first);
        }
        self.tracker.boot(DrcIndex(BOOT_CORE));
        (self.queue, self.events, self.begun) = (VecDeque::new(), Vec::new(), BTreeSet::new());
        Ok(())
    }

    fn play(&mut self, step: &Step) -> Result<Answer> {
        let said = self.take(step)?;
        let mut told = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Ask(ask) => self.queue.push_back(section(ask.device.connectors, 2, ask.token)),
                Event::Ended(outcome) => {
                    let device = Device::at(outcome.device.connectors.first().0).context("an unknown device")?;
                    told.extend(matches!(outcome.end, End::Refused(_)).then_some(Told { device, what: What::Refused }));
                }
                Event::Deleted(gone) => {
                    let device = Device::at(gone.connectors.first().0).context("an unknown device")?;
                    told.push(Told { device, what: What::Deleted });
                }
            }
        }
        if *step == Step::Reset {
            self.queue.clear();
        }
        Ok(Answer { said, told })
    }
}

/// QEMU numbers connectors as bare metal does: the first digit says of which kind.
fn resource_of(index: u32) -> Option<Resource> {
    Some(match index >> 28 {
        1 => Resource::CPU,
        2 => Resource::PHB,
        4 => Resource::PCI,
        8 => Resource::MEMORY,
        9 => Resource::PMEM,
        _ => return None,
    })
}

fn span(first: u32, count: u32) -> Result<Span> {
    Span::new(DrcIndex(first), count).context("a device without connectors")
}

/// The hot plug section of an event, behind its header. QEMU names memory by indexed count, also where it is one LMB.
fn section(connectors: Span, action: u8, token: Token) -> Vec<u8> {
    let (first, count) = (connectors.first().0, connectors.count());
    let resource = resource_of(first).unwrap_or(Resource(0));
    let (kind, cells) = if resource == Resource::MEMORY { (4, [count, first]) } else { (2, [first, 0]) };
    let mut bytes = vec![resource.0, action, kind, if token.is_some() { 0x80 } else { 0 }];
    bytes.extend(cells.iter().flat_map(|cell| cell.to_be_bytes()));
    bytes.extend(token.is_some().then(|| u32::from(token.0).to_be_bytes()).into_iter().flatten());
    bytes
}
