// SPDX-License-Identifier: MIT OR Apache-2.0

//! Guest half of the protocol, written from `spec/protocol.md` and `spec/guest-conformance.md` alone: it uses no code
//! of this project, only numbers of the text.

/// The calls that a guest makes to its platform.
pub(crate) trait Platform {
    /// The `set-indicator` RTAS call: indicator, index, state; the status.
    fn set_indicator(&mut self, indicator: u32, index: u32, state: u32) -> i32;
    /// Returns whether `get-sensor-state` of dr-entity-sense (9003) says PRESENT (1).
    fn is_present(&mut self, index: u32) -> bool;
}

const ISOLATION_STATE: u32 = 9001;
const UNISOLATE: u32 = 1;

const TOKEN: u8 = 0x01;
const STARTED: u8 = 0x02;

const CPU: u16 = 1 << 1;
const MEMORY: u16 = 1 << 2;
const PCI: u16 = 1 << 5;

#[derive(Clone, Copy)]
struct Offer {
    indicator: u32,
    classes: u16,
    features: u8,
}

/// A request as the guest remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// LoPAR's Hotplug Resource Type.
    pub(crate) resource: u8,
    /// The lowest DRC index that it names.
    pub(crate) lowest: u32,
    /// The token, 0 for none.
    pub(crate) token: u16,
    /// The number of platforms that the guest has lost before it took the request: another one's token is worth
    /// nothing.
    pub(crate) platform: u32,
}

/// A guest that can remove CPUs and memory, and whose user space removes PCI functions.
pub(crate) struct Guest {
    offer: Option<Offer>,
    armed: u16,
    features: u8,
    lost: u32,
    /// Requests that user space has not read, the oldest first, and whether they were answered.
    log: Vec<(Request, bool)>,
}

impl Guest {
    /// The guest boots; `property` is the value of `papr-unplug,unplug-status`, empty if there is none.
    pub(crate) fn boot(property: &[u8]) -> Self {
        Self { offer: read_offer(property), armed: 0, features: 0, lost: 0, log: Vec::new() }
    }

    /// The software that reports begins to run.
    pub(crate) fn load(&mut self, platform: &mut impl Platform) {
        self.send(platform, 0, 2 << 29);
        let classes = self.offer.map_or(0, |offer| offer.classes & (CPU | MEMORY | PCI));
        self.arm(platform, classes);
    }

    /// A class can no longer be kept.
    pub(crate) fn withdraw(&mut self, platform: &mut impl Platform, resource: u8) {
        let left = self.armed & !class(resource);
        match left {
            0 => self.unload(platform),
            _ => self.arm(platform, left),
        }
    }

    /// The software that reports stops.
    pub(crate) fn unload(&mut self, platform: &mut impl Platform) {
        self.send(platform, 0, 2 << 29);
        self.armed = 0;
    }

    /// Returns whether requests of this type are answered.
    pub(crate) fn is_armed(&self, resource: u8) -> bool {
        self.armed & class(resource) != 0
    }

    /// The platform's event log has a hot plug section at the start of `log`; `None` if it asks for no removal.
    pub(crate) fn take(&self, log: &[u8]) -> Option<Request> {
        let length = usize::from(u16::from_be_bytes([*log.get(2)?, *log.get(3)?]));
        let section = log.get(..length).unwrap_or(log);
        if section.get(..2)? != b"HP" || *section.get(9)? != 2 {
            return None;
        }
        // An indexed count has its index behind the count.
        let at = if section[10] == 4 { 16 } else { 12 };
        let announced = section[11] & 0x80 != 0 && length >= 24 && length <= log.len();
        let token =
            if announced { word(section, length - 4).and_then(|token| u16::try_from(token).ok()) } else { None };
        let (resource, lowest) = (section[8], word(section, at)?);
        Some(Request { resource, lowest, token: token.unwrap_or(0), platform: self.lost })
    }

    /// The guest begins with a request.
    pub(crate) fn begin(&mut self, platform: &mut impl Platform, request: &Request) {
        if self.is_armed(request.resource) && self.features & STARTED != 0 {
            self.report(platform, request, request.lowest, 3 << 29);
        }
    }

    /// The guest refuses a request at a connector; `hinted` if its kernel has given it away already.
    pub(crate) fn refuse(
        &mut self,
        platform: &mut impl Platform,
        request: &Request,
        connector: u32,
        (reason, errno): (u8, u8),
        hinted: bool,
    ) {
        let refused = 4 << 29 | u32::from(reason & 31) << 24 | u32::from(errno) << 16;
        let was_armed = self.is_armed(request.resource);
        if was_armed && self.report(platform, request, connector, refused) {
            return;
        }
        if !hinted && platform.is_present(connector) {
            repeat(platform, ISOLATION_STATE, connector, UNISOLATE);
        }
        self.arm_again(platform, was_armed);
    }

    /// The guest has lost a request.
    pub(crate) fn lose(&mut self, platform: &mut impl Platform, request: &Request) {
        self.refuse(platform, request, request.lowest, (21, 12), false);
    }

    /// The guest keeps a request for its user space, or answers it if no agent is there to read it.
    pub(crate) fn keep(&mut self, platform: &mut impl Platform, request: Request, has_agent: bool) {
        if !has_agent {
            self.refuse(platform, &request, request.lowest, (25, 2), false);
        }
        self.log.push((request, !has_agent));
    }

    /// The agent reads the log: what was answered asks for nothing.
    pub(crate) fn read(&mut self) -> Option<Request> {
        let answered = self.log.iter().take_while(|(_, answered)| *answered).count();
        self.log.drain(..answered);
        (!self.log.is_empty()).then(|| self.log.remove(0).0)
    }

    /// Handles the end of what the agent has begun for a request. The status is 0 if the agent has begun nothing.
    pub(crate) fn agent_ended(&mut self, platform: &mut impl Platform, request: &Request, status: u8) {
        match platform.is_present(request.lowest) {
            true => self.refuse(platform, request, request.lowest, (28, status), false),
            false => self.finish(platform, request),
        }
    }

    /// The agent is gone: nobody will read the log.
    pub(crate) fn agent_gone(&mut self, platform: &mut impl Platform) {
        for (request, answered) in std::mem::take(&mut self.log) {
            if !answered {
                self.refuse(platform, &request, request.lowest, (25, 2), false);
            }
            self.log.push((request, true));
        }
    }

    /// The guest has done all that a request asked for.
    pub(crate) fn finish(&mut self, platform: &mut impl Platform, request: &Request) {
        let was_armed = self.is_armed(request.resource);
        if was_armed && !self.report(platform, request, request.lowest, 5 << 29) {
            self.arm_again(platform, was_armed);
        }
    }

    /// Reports about a request; returns whether the report was delivered.
    fn report(&mut self, platform: &mut impl Platform, request: &Request, connector: u32, word: u32) -> bool {
        let token = if request.platform == self.lost { request.token } else { 0 };
        match self.send(platform, connector, word | u32::from(token)) {
            -3 => {
                self.offer = None;
                self.armed = 0;
                false
            }
            -9006 => {
                self.lost += 1;
                false
            }
            _ => true,
        }
    }

    fn arm_again(&mut self, platform: &mut impl Platform, was_armed: bool) {
        if was_armed && self.offer.is_some() {
            self.arm(platform, self.armed);
        }
    }

    fn arm(&mut self, platform: &mut impl Platform, classes: u16) {
        let Some(offer) = self.offer.filter(|_| classes != 0) else { return };
        self.features = offer.features & (TOKEN | STARTED);
        let word = 1 << 29 | u32::from(self.features) << 16 | u32::from(classes);
        self.armed = if self.send(platform, 0, word) < 0 { 0 } else { classes };
    }

    fn send(&self, platform: &mut impl Platform, index: u32, word: u32) -> i32 {
        self.offer.map_or(-3, |offer| repeat(platform, offer.indicator, index, word))
    }
}

fn repeat(platform: &mut impl Platform, indicator: u32, index: u32, state: u32) -> i32 {
    loop {
        match platform.set_indicator(indicator, index, state) {
            -2 | 9900..=9905 => {}
            status => return status,
        }
    }
}

fn class(resource: u8) -> u16 {
    1_u16.checked_shl(u32::from(resource)).unwrap_or(0)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn read_offer(property: &[u8]) -> Option<Offer> {
    let offer =
        Offer { indicator: word(property, 0)?, classes: word(property, 4)? as u16, features: word(property, 8)? as u8 };
    (9100..=9999).contains(&offer.indicator).then_some(offer)
}
