// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stock VMM: the rules of QEMU without patches (`hw/ppc/spapr_drc.c` and `hw/ppc/spapr.c`, 10.0 to 11.1).

use crate::{
    machine::{CONNECTORS, CPU, DIMM, Device, LMB0, LMB1, slot},
    vmm::{Effects, Event, Input, Open, Outcome, RequestId, Source, Taker, Vmm},
};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    reason::Reason,
    report::Errno,
    rtas::{Indicator, Status},
    token::Token,
};

/// The state of a stock QEMU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stock {
    connectors: [Drc; CONNECTORS.len()],
    plugged: [bool; 2],
    /// `SpaprDimmState`: how many LMBs are still to be released; it does not migrate.
    pending_dimm: Option<u8>,
    asked: RequestId,
}

/// `SpaprDrc`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Drc {
    state: State,
    dev: bool,
    unplug_requested: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Unusable,
    Available,
    Unisolate,
    Configured,
}

impl Stock {
    /// Returns a VMM with both devices plugged and configured.
    pub fn new() -> Self {
        let drc = Drc { state: State::Configured, dev: true, unplug_requested: false };
        Self { connectors: [drc; CONNECTORS.len()], plugged: [true; 2], pending_dimm: None, asked: 0 }
    }

    fn drc(&mut self, connector: DrcIndex) -> &mut Drc {
        &mut self.connectors[slot(connector)]
    }

    /// `spapr_core_unplug_request`, `spapr_memory_unplug_request`
    fn device_del(&mut self, device: Device) -> Effects {
        if device == DIMM && self.pending_dimm.is_some() {
            return Effects { asked: Some(Err("Memory unplug already in progress")), ..Effects::default() };
        }
        self.asked += 1;
        let mut effects = Effects { asked: Some(Ok(self.asked)), ..Effects::default() };
        if device == DIMM {
            self.pending_dimm = Some(device.count as u8);
        }
        for connector in device.connectors() {
            let drc = self.drc(connector);
            if device == CPU && drc.unplug_requested {
                continue;
            }
            if !drc.dev {
                effects.abort = Some("spapr_drc_unplug_request: assertion failed: (drc->dev)");
                return effects;
            }
            drc.unplug_requested = true;
            if drc.state == State::Unusable {
                self.release(connector, &mut effects);
            }
        }
        effects.and(Event::Hotplug(self.asked, device, Token::NONE))
    }

    /// `spapr_drc_release` with `spapr_core_release` and `spapr_lmb_release`
    fn release(&mut self, connector: DrcIndex, effects: &mut Effects) {
        let device = device_of(connector);
        let attached = device.connectors().filter(|connector| self.connectors[slot(*connector)].dev).count() as u8;
        let gone = device == CPU || {
            let left = self.pending_dimm.unwrap_or(attached) - 1;
            self.pending_dimm = (left > 0).then_some(left);
            left == 0
        };
        let drc = self.drc(connector);
        (drc.dev, drc.unplug_requested) = (false, false);
        if gone {
            self.plugged[usize::from(device == DIMM)] = false;
            effects.events.push(Event::Outcome(None, device, Outcome::Released));
            effects.events.push(Event::Deleted(device, Taker::Guest, 1));
        }
    }

    /// `spapr_memory_unplug_rollback`
    fn rollback(&mut self, connector: DrcIndex, effects: &mut Effects) {
        if self.pending_dimm.take().is_none() {
            effects.abort = Some("spapr_memory_unplug_rollback: assertion failed: (ds)");
            return;
        }
        for lmb in DIMM.connectors() {
            self.drc(lmb).unplug_requested = false;
        }
        effects.events.push(guest_error(connector));
    }

    /// `drc_isolate_logical`, `drc_unisolate_logical`
    fn isolation(&mut self, connector: DrcIndex, isolate: bool) -> Effects {
        let mut effects = Effects::status(Status::SUCCESS);
        let drc = *self.drc(connector);
        match (isolate, drc.state) {
            (true, State::Configured) if device_of(connector) == DIMM && !drc.unplug_requested => {
                return Effects::status(Status::HARDWARE);
            }
            (true, State::Configured) => self.drc(connector).state = State::Available,
            (true, State::Available | State::Unusable) => {}
            (false, State::Available) => self.drc(connector).state = State::Unisolate,
            (false, State::Configured | State::Unisolate) => {
                if drc.unplug_requested && drc.dev {
                    if device_of(connector) == DIMM {
                        self.rollback(connector, &mut effects);
                    }
                    self.drc(connector).unplug_requested = false;
                    effects.events.push(guest_error(connector));
                }
            }
            (true, State::Unisolate) | (false, State::Unusable) => {
                return Effects::status(Status::NO_SUCH_INDICATOR);
            }
        }
        effects
    }

    /// `drc_set_unusable`
    fn set_unusable(&mut self, connector: DrcIndex) -> Effects {
        let mut effects = Effects::status(Status::SUCCESS);
        match self.drc(connector).state {
            State::Unusable => {}
            State::Available => {
                self.drc(connector).state = State::Unusable;
                if self.drc(connector).unplug_requested {
                    self.release(connector, &mut effects);
                }
            }
            State::Unisolate | State::Configured => return Effects::status(Status::NO_SUCH_INDICATOR),
        }
        effects
    }

    /// `rtas_ibm_configure_connector`
    fn configure(&mut self, connector: DrcIndex) -> Effects {
        let mut effects = Effects::status(Status::SUCCESS);
        let drc = *self.drc(connector);
        if !matches!(drc.state, State::Unisolate | State::Configured) {
            return Effects::status(Status::NO_SUCH_INDICATOR);
        }
        if device_of(connector) == DIMM && drc.unplug_requested {
            self.rollback(connector, &mut effects);
        }
        self.drc(connector).state = State::Configured;
        effects
    }

    /// `spapr_drc_reset_all`
    fn reset(&mut self) -> Effects {
        let mut effects = Effects::default();
        for connector in CONNECTORS {
            if self.drc(connector).unplug_requested {
                self.release(connector, &mut effects);
            }
            let drc = self.drc(connector);
            drc.state = if drc.dev { State::Configured } else { State::Unusable };
        }
        for event in &mut effects.events {
            match event {
                Event::Outcome(_, _, outcome) => *outcome = Outcome::Reset,
                Event::Deleted(_, taker, _) => *taker = Taker::Reset,
                Event::Hotplug(..) => {}
            }
        }
        effects
    }

    /// The destination plugs every device anew; `vmstate_spapr_drc` then carries states and `unplug_requested`.
    fn migrate(&mut self) -> Effects {
        self.pending_dimm = None;
        for connector in [LMB0, LMB1] {
            if self.plugged[1] && !self.drc(connector).dev {
                *self.drc(connector) = Drc { state: State::Configured, dev: true, unplug_requested: false };
            }
        }
        Effects::default()
    }
}

impl Default for Stock {
    fn default() -> Self {
        Self::new()
    }
}

fn device_of(connector: DrcIndex) -> Device {
    if CPU.has(connector) { CPU } else { DIMM }
}

/// `DEVICE_UNPLUG_GUEST_ERROR`
fn guest_error(connector: DrcIndex) -> Event {
    let outcome =
        Outcome::Refused { connector, reason: Reason::UNATTRIBUTED, errno: Errno(0), source: Source::Inferred };
    Event::Outcome(None, device_of(connector), outcome)
}

impl Vmm for Stock {
    const NAMES_REQUESTS: bool = false;

    fn step(&mut self, input: Input) -> Effects {
        let connector = match input {
            Input::SetIndicator(_, index, _) | Input::Configure(index) => {
                CONNECTORS.into_iter().find(|connector| *connector == index)
            }
            _ => None,
        };
        match (input, connector) {
            (Input::DeviceDel(device), _) if [CPU, DIMM].contains(&device) => self.device_del(device),
            (Input::DeviceDel(_) | Input::Withhold(_) | Input::Together(_) | Input::Withdraw(_), _) => {
                Effects { asked: Some(Err("the model of stock QEMU does not know it")), ..Effects::default() }
            }
            (Input::SetIndicator(Indicator::ISOLATION_STATE, _, value @ (0 | 1)), Some(connector)) => {
                self.isolation(connector, value == 0)
            }
            (Input::SetIndicator(Indicator::ALLOCATION_STATE, _, 0), Some(connector)) => self.set_unusable(connector),
            (Input::Configure(_), Some(connector)) => self.configure(connector),
            (Input::SetIndicator(..) | Input::Configure(_), _) => Effects::status(Status::NO_SUCH_INDICATOR),
            (Input::Reset | Input::Cas, _) => self.reset(),
            (Input::Migrate | Input::MigrateToLevel0 | Input::MigrateToLevel1, _) => self.migrate(),
        }
    }

    fn present(&self, device: Device) -> bool {
        self.plugged[usize::from(device == DIMM)]
    }

    fn usable(&self, connector: DrcIndex) -> bool {
        self.connectors[slot(connector)].state != State::Unusable
    }

    fn open(&self) -> Vec<Open> {
        Vec::new()
    }

    fn offers(&self) -> bool {
        false
    }
}
