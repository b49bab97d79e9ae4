// SPDX-License-Identifier: GPL-2.0-only

//! Notice for the hypervisor, and its delivery by RTAS calls.

use super::{
    arming::{Answer, Arming},
    refusal::Delivery,
    rtas::{self, Busy, Rtas},
};
use crate::wire::{
    drc::DrcIndex,
    hotplug::Resource,
    offer::Classes,
    report::{Opcode, Word},
    token::Token,
};

/// Message for the hypervisor, told in the order of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The number of the refusal in the history; 0 if the notice is not about a refusal.
    pub number: u64,
    /// The type of resource that the request is about.
    pub resource: Resource,
    /// The report and the connector that it names; sent only if the class is armed.
    pub report: Option<(Word, DrcIndex)>,
    /// The connector to unisolate if no report was taken (PUE-G-040, PUE-G-041, PUE-G-050).
    pub hint: Option<DrcIndex>,
    /// True if DISARM is due.
    pub disarm: bool,
    /// True if ARM is due.
    pub arm: bool,
    /// True if the hypervisor did not know of the promise. It has not given the tokens, either.
    pub is_unknown: bool,
    /// True if the result of the removal was not seen. It may have been a release: then the request
    /// has ended, or the connector is not the guest's any more.
    pub unseen: bool,
    /// The connector that the request names, if the result was not seen.
    pub connector: Option<DrcIndex>,
    /// The token of the request, if the result was not seen.
    pub token: Token,
    /// The delivery of the refusal, if nothing more is sent.
    pub delivery: Delivery,
}

impl Notice {
    /// A notice of nothing.
    pub const EMPTY: Self = Self {
        number: 0,
        resource: Resource(0),
        report: None,
        hint: None,
        disarm: false,
        arm: false,
        is_unknown: false,
        unseen: false,
        connector: None,
        token: Token::NONE,
        delivery: Delivery::Pending,
    };

    /// Sends what is left of the notice, but for ARM. If firmware is busy, the rest is left for
    /// another call.
    pub fn tell(&mut self, arming: &mut Arming, rtas: &impl Rtas) -> Result<(), Busy> {
        if let Some((word, connector)) = self.report {
            if self.is_wanted(word, arming) {
                match arming.report(rtas, connector, word)? {
                    Answer::Delivered => self.reported(Delivery::Reported),
                    Answer::Ended if self.unseen => self.reported(Delivery::Released),
                    Answer::Ended if self.is_for_user_space() => self.reported(Delivery::Before),
                    Answer::Ended => self.reported(Delivery::Reported),
                    Answer::Gone => {}
                    // STARTED is followed by the answer, which meets the same: ARM comes after it.
                    Answer::NotArmed => {
                        self.arm = word.opcode() != Opcode::STARTED;
                        self.is_unknown = self.arm;
                    }
                }
            }
            let told = self.delivery != Delivery::Unnamed;
            if self.unseen && !told && rtas::is_gone(rtas, connector)? {
                self.delivery = Delivery::Released;
            }
            self.report = None;
        }
        if let Some(connector) = self.hint {
            self.delivery = rtas::hint(rtas, connector)?;
            self.hint = None;
        }
        if self.disarm {
            arming.disarm(rtas)?;
            self.disarm = false;
        }
        Ok(())
    }

    /// Makes a report about a request one without a token.
    pub fn forget_token(&mut self) {
        self.token = Token::NONE;
        if let Some((word, _)) = &mut self.report {
            *word = word.report().map_or(*word, |report| report.without_token().word());
        }
    }

    fn reported(&mut self, delivery: Delivery) {
        self.hint = None;
        self.delivery = delivery;
    }

    fn is_for_user_space(&self) -> bool {
        Classes::IN_USER_SPACE.contains(Classes::of(self.resource))
    }

    fn is_wanted(&self, word: Word, arming: &Arming) -> bool {
        arming.covers(self.resource) && (word.opcode() != Opcode::STARTED || arming.tells_starts())
    }
}
