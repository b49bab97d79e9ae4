// SPDX-License-Identifier: MIT OR Apache-2.0

//! History of a machine: actions of its user and guest, resets and migrations, in any order.

use crate::{
    many::Many,
    oracle::{
        action::{Action, Report},
        expected::Oracle,
        machine::{DEVICES, OFFERS},
        subject::Subject,
    },
};
use arbitrary::Arbitrary;
use std::sync::OnceLock;

/// History of a machine.
#[derive(Arbitrary, Clone, Debug)]
pub struct History {
    /// Offer of the machine; a number without an offer stands for none.
    pub offer: u8,
    /// Actions after every device was plugged and configured.
    pub actions: Many<Action>,
}

impl History {
    /// Plays the history. The crate and the reference agree after every action. `seen` gets the oracle after each.
    pub fn live(&self, mut seen: impl FnMut(&Oracle)) -> (Subject, Oracle) {
        let (mut subject, mut oracle) = begun(self.offer).clone();
        for action in self.actions.0.iter().copied().map(meant) {
            oracle.apply(action);
            subject.apply(action, &oracle);
            seen(&oracle);
        }
        subject.check_saved(&oracle.reference);
        (subject, oracle)
    }
}

/// Turns half of all ARMs into ones that the VMM accepts, because bits are hard to guess.
fn meant(action: Action) -> Action {
    match action {
        Action::Report(_, Report::Arm { classes, features }) if classes & 0x100 == 0 => Action::Report(
            0,
            Report::Arm { classes: classes & 0x7E | 1 << (features >> 5).clamp(1, 6), features: features & 3 },
        ),
        other => other,
    }
}

/// A machine in which every device was plugged and configured, one for each offer and one for none.
fn begun(offer: u8) -> &'static (Subject, Oracle) {
    static BEGUN: OnceLock<[(Subject, Oracle); OFFERS.len() + 1]> = OnceLock::new();
    let begin = |place: usize| {
        let offer = OFFERS.get(place).copied();
        let (mut subject, mut oracle) = (Subject::new(offer), Oracle::new(offer));
        for action in (0..DEVICES.len() as u8).flat_map(|device| [Action::Plug(device), Action::Boot(device)]) {
            oracle.apply(action);
            subject.apply(action, &oracle);
        }
        (subject, oracle)
    };
    let all = BEGUN.get_or_init(|| std::array::from_fn(begin));
    &all[usize::from(offer) % all.len()]
}
