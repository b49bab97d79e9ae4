// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can happen.

/// Something that happens to a VMM. Numbers choose from lists, modulo their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Action {
    /// The user plugs, or unplugs by force, or asks for the removal of a device.
    Plug(u8),
    Boot(u8),
    Unplug(u8),
    Request(u8),
    /// The guest moves a connector.
    Move(u8, Input),
    /// The guest asks for dr-entity-sense of a connector.
    Sense(u8),
    /// The guest reports.
    Report(u8, Report),
    /// The guest calls set-indicator with words of its own choice.
    Words([u32; 3]),
    /// The guest calls set-indicator on the offered indicator with a word of its own choice.
    Word(u8, u32),
    /// The machine is reset.
    Reset,
    /// The VMM changes what it offers, or takes no more reports.
    Offer(Option<u8>),
    /// The state is saved, and another VMM goes on with it.
    Migrate,
    /// The same, but by what a VMM without reports can say of it; of connectors that are given back it says nothing if
    /// `detached`.
    Import {
        detached: bool,
    },
}

/// What a guest does to a connector.
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

/// A report, with the token by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Report {
    Arm { classes: u16, features: u8 },
    Disarm,
    Started(Name),
    Refused(Name, u8, u8),
    Done(Name),
}

/// Which token a report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Name {
    /// None.
    None,
    /// That of an open request.
    Open(u8),
    /// That of a request that was made so many requests ago, open or not.
    Past(u8),
    /// One that was never given.
    Never,
}

impl Input {
    pub const ALL: [Self; 6] =
        [Self::Isolate, Self::Unisolate, Self::Unusable, Self::Usable, Self::Configure, Self::Configured];

    /// LoPAR's indicator and state, if it is a `set-indicator` call.
    pub fn indicator(self) -> Option<(u32, u32)> {
        match self {
            Self::Isolate => Some((9001, 0)),
            Self::Unisolate => Some((9001, 1)),
            Self::Unusable => Some((9003, 0)),
            Self::Usable => Some((9003, 1)),
            Self::Configure | Self::Configured => None,
        }
    }

    /// The input that a `set-indicator` call is.
    pub fn of(indicator: u32, state: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|input| input.indicator() == Some((indicator, state)))
    }
}
