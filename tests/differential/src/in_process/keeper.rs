// SPDX-License-Identifier: MIT OR Apache-2.0

//! States that are saved and loaded, and the list of requests.

use super::{InProcess, QueuedEvent, span};
use crate::{
    keeper::{Ending, Keeper, List, Told},
    machine::Device,
};
use anyhow::{Context as _, Result};
use papr_unplug::{
    event::{self, End, Event, Evidence, RequestId},
    wire::drc::DrcIndex,
};
use std::collections::{BTreeSet, VecDeque};

/// State of the crate, and of QEMU's part.
#[derive(Debug)]
pub(super) struct Saved {
    bytes: Vec<u8>,
    queue: VecDeque<QueuedEvent>,
    begun: BTreeSet<u32>,
}

/// Returns the device of an event.
pub(super) fn device(device: event::Device) -> Result<Device> {
    Device::at(device.connectors.first().0).context("an unknown device")
}

/// Returns what an event says.
pub(super) fn told(event: &Event) -> Result<Option<Told>> {
    let Event::Ended(outcome) = event else { return Ok(None) };
    let how = match outcome.end {
        End::Refused(refusal) => Ending::Refused(refusal.evidence == Evidence::Token),
        End::Withdrawn => Ending::Withdrawn,
        End::Load => Ending::Load,
        _ => Ending::Gone,
    };
    Ok(Some(Told::Ended(outcome.request.0, device(outcome.device)?, how)))
}

impl InProcess {
    fn tell(&mut self) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        let ended: Vec<u64> = events
            .iter()
            .filter_map(|event| match event {
                Event::Ended(outcome) => Some(outcome.request.0),
                _ => None,
            })
            .collect();
        self.void(|queued| queued.request.is_some_and(|request| ended.contains(&request.0)));
        self.told = events.iter().filter_map(|event| told(event).transpose()).collect::<Result<_>>()?;
        Ok(())
    }

    fn state(&self) -> Saved {
        Saved { bytes: self.tracker.save(), queue: self.queue.clone(), begun: self.begun.clone() }
    }

    fn restore(&mut self, saved: &Saved) -> Result<()> {
        self.tracker.restore(&saved.bytes, &mut self.events)?;
        (self.queue, self.begun) = (saved.queue.clone(), saved.begun.clone());
        for queued in &mut self.queue {
            queued.request = queued.request.map(|saved| self.tracker.renumbered(saved));
        }
        Ok(())
    }
}

impl Keeper for InProcess {
    fn made(&self) -> Option<u64> {
        self.made
    }

    fn told(&self) -> Vec<Told> {
        self.told.clone()
    }

    fn list(&mut self) -> Result<List> {
        let request = |request: &papr_unplug::Request| Ok((request.id.0, device(request.device)?, request.withheld));
        let open = self.tracker.requests().iter().map(request).collect::<Result<_>>()?;
        Ok(List { open, ended: self.tracker.outcomes().map(|outcome| outcome.request.0).collect() })
    }

    fn withdraw(&mut self, request: u64) -> Result<bool> {
        let is_accepted = self.tracker.withdraw(RequestId(request), &mut self.events).is_ok();
        self.tell()?;
        Ok(is_accepted)
    }

    fn save(&mut self) -> Result<()> {
        self.saved = Some(self.state());
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let saved = self.saved.take().context("nothing was saved")?;
        self.restore(&saved)?;
        self.saved = Some(saved);
        self.tell()
    }

    fn migrate(&mut self) -> Result<()> {
        let (saved, mut other) = (self.state(), Self::new()?);
        for device in Device::ALL.into_iter().filter(|device| !self.has(*device)) {
            other.tracker.unplug(DrcIndex(device.first()), &mut ());
            let connectors = span(device.first(), device.count())?;
            if self.tracker.state(connectors.first()).is_none() {
                other.tracker.remove_connectors(connectors)?;
            }
        }
        other.restore(&saved)?;
        *self = other;
        self.tell()
    }
}
