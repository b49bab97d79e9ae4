// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate `papr-unplug` as a party, in this process, with the glue that a VMM has around it.

mod keeper;

use crate::{
    answer::{Answer, DeviceEvent, EventKind, MORE, Response},
    keeper::Told,
    machine::{BOOT_CORE, Device, OTHERS},
    party::Party,
    step::{Step, indicator::REPORTS},
};
use anyhow::{Context as _, Result};
use papr_unplug::{
    Config, Offer, Span, Tracker,
    drc::NOT_CONFIGURABLE,
    event::{Ask, End, Event, RequestId, Requested},
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::{Indicator, Status},
        token::Token,
    },
};
use std::collections::{BTreeSet, VecDeque};

/// A hot plug event that the guest has not fetched.
#[derive(Clone, Debug)]
struct QueuedEvent {
    /// The connectors that it names.
    connectors: Span,
    /// The request that it is about, if any.
    request: Option<RequestId>,
    /// The body of its hot plug section.
    section: Vec<u8>,
}

impl QueuedEvent {
    fn new(connectors: Span, action: u8, token: Token, request: Option<RequestId>) -> Self {
        Self { connectors, request, section: section(connectors, action, token) }
    }
}

/// A machine that has connectors and nothing else.
#[derive(Debug)]
pub struct InProcess {
    tracker: Tracker,
    /// Hot plug events that the guest has not fetched, oldest first.
    queue: VecDeque<QueuedEvent>,
    events: Vec<Event>,
    /// Connectors whose node the guest has read in part.
    begun: BTreeSet<u32>,
    /// The request that the last `device_del` made.
    made: Option<u64>,
    /// Outcomes and deletions that the last step told.
    told: Vec<Told>,
    saved: Option<keeper::Saved>,
}

impl InProcess {
    /// Makes the machine in the state in which every sequence begins.
    pub fn new() -> Result<Self> {
        let features = Features::TOKEN | Features::STARTED;
        let classes = Classes::CPU | Classes::MEMORY | Classes::PHB | Classes::PCI;
        let offer = Offer::new(Indicator(REPORTS), classes, features);
        let mut tracker = Tracker::new(Config::default().offer(offer));
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
        let (queue, events, begun) = (VecDeque::new(), Vec::new(), BTreeSet::new());
        Ok(Self { tracker, queue, events, begun, made: None, told: Vec::new(), saved: None })
    }

    /// Lets events ask for nothing. They stay in the queue, because their interrupts may be on the way.
    fn void(&mut self, is_void: impl Fn(&QueuedEvent) -> bool) {
        self.queue.iter_mut().filter(|queued| is_void(queued)).for_each(|queued| queued.section.fill(0));
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

    fn take(&mut self, step: &Step) -> Result<Response> {
        let present = step.device().is_some_and(|device| self.has(device));
        let has_room = step.device().is_some_and(|device| self.has_room_for(device));
        let Self { tracker, events, .. } = self;
        Ok(match *step {
            Step::Set(indicator, index, value) => {
                let answer = tracker.set_indicator(&[indicator, index, value], events);
                // After a change of state, the node is read from its beginning.
                if answer.change.is_some() {
                    self.begun.remove(&index);
                }
                Response::Status(answer.status.0)
            }
            Step::Sense(sensor, index) => {
                let (status, sense) = tracker.get_sensor_state(&[sensor, index]);
                Response::Sensed(status.0, sense.0)
            }
            Step::Configure(index, calls) => Response::Status(self.configure(index, calls)),
            Step::TakeEvent => {
                self.queue.pop_front().map_or(Response::NoEvent, |queued| Response::Event(queued.section))
            }
            Step::Remove(device) if !present || !device.is_removable() => {
                Response::Rejected("no such device, or one that stays".to_owned())
            }
            Step::Remove(device) => self.remove(device),
            Step::Add(_) if present || !has_room => {
                Response::Rejected("duplicate device, or no place for it".to_owned())
            }
            Step::Add(device) => {
                self.add_connectors_of(device)?;
                let connectors = span(device.first(), device.count())?;
                self.tracker.plug(connectors)?;
                self.announce(device)?;
                Response::Accepted
            }
            Step::Reset => {
                tracker.reset(events);
                self.begun.clear();
                Response::Accepted
            }
        })
    }
}

/// Plugging and unplugging of devices, as QEMU does it.
impl InProcess {
    /// Requests the removal of a device: of a function other than 0, withheld; of function 0, with the others of its
    /// slot.
    fn remove(&mut self, device: Device) -> Response {
        let first = DrcIndex(device.first());
        let Self { tracker, events, .. } = self;
        let requested = match device {
            Device::Function1 => tracker.withhold(first, events).map(|requested| vec![requested]),
            Device::Function0 => {
                let both = [DrcIndex(Device::Function1.first()), first];
                let present: Vec<_> = both.into_iter().filter(|first| tracker.device(*first).is_some()).collect();
                tracker.request_together(&present, events)
            }
            _ => tracker.request(first, events).map(|requested| vec![requested]),
        };
        let requested = match requested {
            Ok(requested) => requested,
            Err(error) => return Response::Rejected(error.to_string()),
        };
        self.made = requested.last().map(|requested| requested.id().0);
        for requested in requested {
            if let Requested::Ask(Ask { device, token, request, .. }) = requested {
                self.queue.push_back(QueuedEvent::new(device.connectors, 2, token, Some(request)));
            }
        }
        Response::Accepted
    }

    /// True if the device's bus exists, and takes it: the functions of a slot come before function 0.
    fn has_room_for(&self, device: Device) -> bool {
        let parent = Device::ALL.into_iter().find(|parent| parent.children().contains(&device));
        let bus = if device == Device::Behind { Some(Device::Bridge) } else { parent };
        bus.is_none_or(|bus| self.has(bus)) && !(device == Device::Function1 && self.has(Device::Function0))
    }

    /// Adds the connectors of the buses that come with a device.
    fn add_connectors_of(&mut self, device: Device) -> Result<()> {
        let children: &[Device] = match device {
            Device::Phb => &[Device::Bridge, Device::OnRoot],
            Device::Bridge => &[Device::Behind],
            _ => &[],
        };
        for child in children {
            let connectors = span(child.first(), child.count())?;
            if self.tracker.state(connectors.first()).is_none() {
                self.tracker.add_connectors(Resource::PCI, connectors)?;
            }
        }
        Ok(())
    }

    /// Queues the hot plug events of a device that was plugged.
    fn announce(&mut self, device: Device) -> Result<()> {
        let announced: &[Device] = match device {
            Device::Function1 => &[],
            Device::Function0 => &[Device::Function0, Device::Function1],
            _ => &[device],
        };
        let announced: Vec<_> = announced.iter().filter(|device| self.has(**device)).collect();
        for device in announced {
            let connectors = span(device.first(), device.count())?;
            self.queue.push_back(QueuedEvent::new(connectors, 1, Token::NONE, None));
        }
        Ok(())
    }

    /// Takes away what was attached to a device that is gone, with its connectors.
    fn take_children(&mut self, device: Device) -> Result<Vec<DeviceEvent>> {
        let mut gone = Vec::new();
        for child in device.children() {
            let connectors = span(child.first(), child.count())?;
            if self.tracker.unplug_released(connectors.first(), &mut self.events) {
                for event in std::mem::take(&mut self.events) {
                    self.told.extend(keeper::told(&event)?);
                }
                self.told.push(Told::Deleted(*child));
                gone.push(DeviceEvent { device: *child, kind: EventKind::Deleted });
            }
            if self.tracker.state(connectors.first()).is_some() {
                self.tracker.remove_connectors(connectors)?;
            }
            self.void(|queued| queued.connectors == connectors);
            self.begun.remove(&child.first());
        }
        Ok(gone)
    }
}

impl Party for InProcess {
    /// Numbers of requests and tokens go on, as in a VMM that keeps running.
    fn renew(&mut self) -> Result<()> {
        self.play(&Step::DISARM)?;
        for device in Device::ALL {
            let first = DrcIndex(device.first());
            self.add_connectors_of(device)?;
            self.tracker.unplug(first, &mut self.events);
            self.tracker.plug(span(device.first(), device.count())?)?;
            self.tracker.boot(first);
        }
        self.tracker.boot(DrcIndex(BOOT_CORE));
        (self.queue, self.events, self.begun) = (VecDeque::new(), Vec::new(), BTreeSet::new());
        Ok(())
    }

    fn play(&mut self, step: &Step) -> Result<Answer> {
        (self.made, self.told) = (None, Vec::new());
        let response = self.take(step)?;
        let mut device_events = Vec::new();
        for event in std::mem::take(&mut self.events) {
            self.told.extend(keeper::told(&event)?);
            match event {
                Event::Ended(outcome) => {
                    self.void(|queued| queued.request == Some(outcome.request));
                    let device = keeper::device(outcome.device)?;
                    let refused = DeviceEvent { device, kind: EventKind::Refused };
                    device_events.extend(matches!(outcome.end, End::Refused(_)).then_some(refused));
                }
                Event::Deleted(gone) => {
                    self.void(|queued| queued.connectors == gone.device.connectors);
                    let device = keeper::device(gone.device)?;
                    self.told.push(Told::Deleted(device));
                    device_events.push(DeviceEvent { device, kind: EventKind::Deleted });
                    device_events.extend(self.take_children(device)?);
                }
                _ => {}
            }
        }
        if *step == Step::Reset {
            self.queue.clear();
        }
        Ok(Answer { response, events: device_events })
    }
}

/// Returns the resource of a DRC index. In QEMU the upper four bits say it.
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

/// Returns the body of a hot plug section. QEMU names memory by indexed count, even a single LMB.
fn section(connectors: Span, action: u8, token: Token) -> Vec<u8> {
    let (first, count) = (connectors.first().0, connectors.count());
    let resource = resource_of(first).unwrap_or(Resource(0));
    let (kind, cells) = if resource == Resource::MEMORY { (4, [count, first]) } else { (2, [first, 0]) };
    let mut bytes = vec![resource.0, action, kind, if token.is_some() { 0x80 } else { 0 }];
    bytes.extend(cells.iter().flat_map(|cell| cell.to_be_bytes()));
    bytes.extend(token.is_some().then(|| u32::from(token.0).to_be_bytes()).into_iter().flatten());
    bytes
}
