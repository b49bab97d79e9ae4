// SPDX-License-Identifier: MIT OR Apache-2.0

//! Transcript of what crosses the line between a guest and its VMM, and of what the suite did meanwhile.

use papr_unplug_wire::wire::{
    drc::DrcIndex,
    offer::{Classes, Features},
    report::{Report, Word},
    rtas::{Indicator, Status},
    token::Token,
};

/// Offer of the VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The indicator.
    pub indicator: Indicator,
    /// The classes.
    pub classes: Classes,
    /// The features.
    pub features: Features,
}

/// Transcript of one run of the VMM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The offer, if there is one.
    pub offer: Option<Offered>,
    /// The entries, in their order.
    pub entries: Vec<Entry>,
}

/// Entry of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The software which reports begins: the guest boots, or is told to start it.
    Begins,
    /// The guest is told to stop the software which reports.
    Stops,
    /// It has stopped.
    Stopped,
    /// A device is asked for.
    Asked(Asked),
    /// The guest has ended all its attempts at requests for devices that its kernel removes.
    Settled,
    /// The guest is told to give back what is behind a connector.
    GivesBack(DrcIndex),
    /// Its attempt at that has ended.
    GaveBack(DrcIndex),
    /// The guest calls `set-indicator`.
    Call(Call),
}

/// Request for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The number of the request.
    pub request: u64,
    /// The lowest DRC index of the device.
    pub first: DrcIndex,
    /// The number of connectors.
    pub count: u32,
    /// The token, or [`Token::NONE`].
    pub token: Token,
    /// True if the guest was told to keep the device.
    pub kept: bool,
}

/// `set-indicator` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The indicator.
    pub indicator: Indicator,
    /// The index.
    pub index: DrcIndex,
    /// The value.
    pub value: u32,
    /// The status that the guest got.
    pub status: Status,
}

impl Asked {
    /// Returns whether the device has this connector.
    pub fn has(&self, index: DrcIndex) -> bool {
        index.0.wrapping_sub(self.first.0) < self.count
    }
}

impl Call {
    /// Returns whether the indicator is one of those that reports may be sent on.
    pub fn is_report(&self) -> bool {
        Indicator::VENDOR.contains(&self.indicator.0)
    }

    /// Returns what the call reports, if it is one that can be read.
    pub fn report(&self) -> Option<Report> {
        if self.is_report() { Word(self.value).report() } else { None }
    }

    /// Returns whether the call sets isolation-state or allocation-state of a connector to this value.
    pub fn sets(&self, indicator: Indicator, value: u32) -> bool {
        self.indicator == indicator && self.value == value
    }
}

impl Entry {
    /// Reads a line of QEMU's trace (`-trace spapr_unplug_*`); returns `None` for any other line. Whether a device is
    /// kept the trace does not know.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, line) = line.split_once("spapr_unplug_")?;
        let (event, members) = line.split_once(' ')?;
        let member = |name: &str| {
            let mut pairs = members.split(", ").filter_map(|pair| pair.split_once(": "));
            pairs.find(|(of, _)| *of == name).map(|(_, value)| value.trim())
        };
        let number = |name| {
            let text: &str = member(name)?;
            text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok())
        };
        match event {
            "request" => Some(Self::Asked(Asked {
                request: member("request")?.parse().ok()?,
                first: DrcIndex(number("drc")?),
                count: number("count")?,
                token: Token(number("token")?.try_into().ok()?),
                kept: false,
            })),
            "set_indicator" => Some(Self::Call(Call {
                indicator: Indicator(number("indicator")?),
                index: DrcIndex(number("drc")?),
                value: number("value")?,
                status: Status(member("status")?.parse().ok()?),
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_of_qemu_is_read() {
        let asked = "7@1.5:spapr_unplug_request request: 3, drc: 0x80000008, count: 2, token: 7";
        let of = Asked { request: 3, first: DrcIndex(0x8000_0008), count: 2, token: Token(7), kept: false };
        assert_eq!(Entry::parse(asked), Some(Entry::Asked(of)));
        assert!(of.has(DrcIndex(0x8000_0009)) && !of.has(DrcIndex(0x8000_000A)));
        let call = "spapr_unplug_set_indicator indicator: 9100, drc: 0x0, value: 0x40000000, status: -9006";
        let Some(Entry::Call(call)) = Entry::parse(call) else { panic!("no call") };
        assert_eq!((call.report(), call.status), (Some(Report::Disarm), Status::NOT_ARMED));
        for other in ["", "spapr_unplug_delete drc: 0x10000001, count: 1", "spapr_unplug_request request: x"] {
            assert_eq!(Entry::parse(other), None);
        }
    }
}
