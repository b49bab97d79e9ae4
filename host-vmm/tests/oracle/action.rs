// SPDX-License-Identifier: MIT OR Apache-2.0

//! Actions of user, guest and VMM.

use papr_unplug_model::lopar;

/// Action on a VMM. Numbers choose from lists, modulo their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Action {
    /// The user plugs, or unplugs by force, or requests the removal of a device.
    Plug(u8),
    Boot(u8),
    Unplug(u8),
    Request(u8),
    /// The user requests the removal of a device, and the guest is not asked.
    Withhold(u8),
    /// The user requests the removal of two devices that leave together.
    Together(u8, u8),
    /// The user withdraws an open request.
    Withdraw(u8),
    /// The guest moves a connector.
    Move(u8, Input),
    /// The guest asks for dr-entity-sense of a connector.
    Sense(u8),
    /// The guest reports.
    Report(u8, Report),
    /// The guest calls set-indicator with any words.
    Words([u32; 3]),
    /// The guest calls set-indicator on the offered indicator with any word.
    Word(u8, u32),
    /// The machine is reset.
    Reset,
    /// The guest negotiates.
    Cas,
    /// The VMM changes what it offers, or takes no more reports.
    Offer(Option<u8>),
    /// The state is saved, and another VMM restores it.
    Migrate,
    /// The state is saved, and this VMM goes on.
    Snapshot,
    /// The state that was saved last is loaded.
    Load,
    /// A VMM without reports saves the state, and another VMM imports it. If `detached`, nothing is saved of connectors
    /// that are given back.
    Import {
        detached: bool,
    },
}

/// Call of the guest about one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Input {
    Isolate,
    Unisolate,
    Unusable,
    Usable,
    Configure,
    Configured,
}

/// Report of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Report {
    Arm { classes: u16, features: u8 },
    Disarm,
    Started(TokenChoice),
    Refused(TokenChoice, u8, u8),
    Done(TokenChoice),
}

/// Choice of the token of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum TokenChoice {
    /// No token.
    None,
    /// Token of an open request.
    Open(u8),
    /// Token of an earlier request, open or not: the number of requests made since then.
    Past(u8),
    /// A token that was never given.
    Never,
}

impl Input {
    pub const ALL: [Self; 6] =
        [Self::Isolate, Self::Unisolate, Self::Unusable, Self::Usable, Self::Configure, Self::Configured];

    /// Returns the model's input of the same name.
    pub fn of_model(self) -> lopar::Input {
        lopar::Input::ALL[self as usize]
    }
}
