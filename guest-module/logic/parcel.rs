// SPDX-License-Identifier: GPL-2.0-only

//! What one request still has to be told, and telling it.

use super::{
    arming::{Answer, Arming},
    refusal::Told,
    rtas::{self, Busy, Rtas},
};
use crate::wire::{
    drc::DrcIndex,
    report::{Opcode, Word},
};

/// What is to be told, in this order: the report; if the hypervisor takes none, the hint; and the promise once more, if
/// the hypervisor turned out not to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The refusal's number in the journal, 0 if it is about none.
    pub number: u64,
    /// The report, and the connector that it names.
    pub report: Option<(Word, DrcIndex)>,
    /// The connector to unisolate if there is no report, or nobody to take it (PUE-G-040, PUE-G-041, PUE-G-050).
    pub hint: Option<DrcIndex>,
    /// Whether to arm again.
    pub rearm: bool,
    /// Whether the hypervisor knows, if no more is told than has been.
    pub told: Told,
}

impl Parcel {
    /// Tells what is left to be told. If firmware is busy, so much is left that this may be called again.
    pub fn tell(&mut self, arming: &Arming, rtas: &impl Rtas) -> Result<(), Busy> {
        if let Some((word, connector)) = self.report {
            let answer = arming.report(rtas, connector, word)?;
            self.report = None;
            match answer {
                Answer::Delivered => {
                    self.hint = None;
                    self.told = Told::Reported;
                }
                Answer::Gone => {}
                // STARTED is followed by the answer of the same request, which meets the same: only after it, ARM.
                Answer::NotArmed => self.rearm = word.opcode() != Opcode::STARTED,
            }
        }
        if let Some(connector) = self.hint {
            self.told = rtas::signal(rtas, connector)?;
            self.hint = None;
        }
        if self.rearm {
            arming.arm(rtas)?;
            self.rearm = false;
        }
        Ok(())
    }

    /// The same, again and again until firmware is not busy. Sleeps.
    pub fn tell_patiently(&mut self, arming: &Arming, rtas: &impl Rtas) {
        while let Err(Busy(status)) = self.tell(arming, rtas) {
            rtas.pause(status);
        }
    }
}
