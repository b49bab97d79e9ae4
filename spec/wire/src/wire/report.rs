// SPDX-License-Identifier: MIT OR Apache-2.0

//! Report of the guest: a 32-bit word, third argument of `set-indicator`.
//!
//! ```text
//!  31  29 28    24 23          16 15                         0
//! +------+--------+--------------+----------------------------+
//! |opcode| reason |    errno     |           token            |  STARTED, REFUSED, DONE
//! +------+--------+--------------+----------------------------+
//! |opcode|   0    |   features   |          classes           |  ARM
//! +------+--------+--------------+----------------------------+
//! ```

use super::{offer::Classes, offer::Features, reason::Reason, token::Token};
use core::fmt;

/// The report word as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(pub u32);

/// The opcode of a report word: its top 3 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// From now on the guest answers every request of these classes.
    pub const ARM: Self = Self(1);
    /// From now on the guest promises nothing.
    pub const DISARM: Self = Self(2);
    /// The guest has begun to handle a request.
    pub const STARTED: Self = Self(3);
    /// The guest refuses a request.
    pub const REFUSED: Self = Self(4);
    /// The guest has done all it was asked to, as far as it knows.
    pub const DONE: Self = Self(5);
}

/// An errno of the guest, as a positive number; 0 says that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub u8);

/// The meaning of a report word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// [`Opcode::ARM`]
    Arm {
        /// The classes whose requests will all be answered.
        classes: Classes,
        /// The features that the guest has.
        features: Features,
    },
    /// [`Opcode::DISARM`]
    Disarm,
    /// [`Opcode::STARTED`]
    Started {
        /// The token of the request.
        token: Token,
    },
    /// [`Opcode::REFUSED`]
    Refused {
        /// The token of the request.
        token: Token,
        /// The reason.
        reason: Reason,
        /// The error number of the guest's kernel.
        errno: Errno,
    },
    /// [`Opcode::DONE`]
    Done {
        /// The token of the request.
        token: Token,
    },
}

impl Word {
    const fn pack(opcode: Opcode, reason: u8, errno: u8, low: u16) -> Self {
        Self(((opcode.0 as u32 & 7) << 29) | ((reason as u32 & 31) << 24) | ((errno as u32) << 16) | low as u32)
    }

    /// Returns bits 31 to 29.
    pub const fn opcode(self) -> Opcode {
        Opcode((self.0 >> 29) as u8)
    }

    /// Returns bits 28 to 24, a [`Reason`] in REFUSED.
    pub const fn reason(self) -> Reason {
        Reason((self.0 >> 24) as u8 & 31)
    }

    /// Returns bits 23 to 16: an [`Errno`], or the [`Features`] of ARM.
    pub const fn errno(self) -> Errno {
        Errno((self.0 >> 16) as u8)
    }

    /// Returns bits 15 to 0: a [`Token`], or the [`Classes`] of ARM.
    pub const fn low(self) -> u16 {
        self.0 as u16
    }

    /// Returns the meaning; `None` for a reserved opcode, an ARM without a class, or a set bit that must be zero.
    pub fn report(self) -> Option<Report> {
        let token = Token(self.low());
        let report = match self.opcode() {
            Opcode::ARM if self.low() != 0 => {
                Report::Arm { classes: Classes(self.low()), features: Features(self.errno().0) }
            }
            Opcode::DISARM => Report::Disarm,
            Opcode::STARTED => Report::Started { token },
            Opcode::REFUSED => Report::Refused { token, reason: self.reason(), errno: self.errno() },
            Opcode::DONE => Report::Done { token },
            _ => return None,
        };
        (report.word() == self).then_some(report)
    }
}

impl Report {
    /// Returns the same report about a request without a token.
    pub const fn without_token(self) -> Self {
        let token = Token::NONE;
        match self {
            Self::Started { .. } => Self::Started { token },
            Self::Refused { reason, errno, .. } => Self::Refused { token, reason, errno },
            Self::Done { .. } => Self::Done { token },
            Self::Arm { .. } | Self::Disarm => self,
        }
    }

    /// Returns the word.
    pub const fn word(self) -> Word {
        match self {
            Self::Arm { classes, features } => Word::pack(Opcode::ARM, 0, features.0, classes.0),
            Self::Disarm => Word::pack(Opcode::DISARM, 0, 0, 0),
            Self::Started { token } => Word::pack(Opcode::STARTED, 0, 0, token.0),
            Self::Refused { token, reason, errno } => Word::pack(Opcode::REFUSED, reason.0, errno.0, token.0),
            Self::Done { token } => Word::pack(Opcode::DONE, 0, 0, token.0),
        }
    }
}

impl Errno {
    /// Converts a kernel's return code of either sign; one that does not fit 8 bits becomes 0.
    pub fn from_code(code: i32) -> Self {
        match u8::try_from(code.unsigned_abs()) {
            Ok(errno) => Self(errno),
            Err(_) => Self(0),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.report() {
            Some(Report::Arm { classes, features }) => {
                write!(f, "ARM classes {:#06x} features {:#04x}", classes.0, features.0)
            }
            Some(Report::Disarm) => f.write_str("DISARM"),
            Some(Report::Started { token }) => write!(f, "STARTED token {token}"),
            Some(Report::Refused { token, reason, errno }) => {
                write!(f, "REFUSED token {token} reason {reason} errno {}", errno.0)
            }
            Some(Report::Done { token }) => write!(f, "DONE token {token}"),
            None => write!(f, "word {:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PUE-V-011, PUE-G-014: the layout, pinned by literals.
    #[test]
    fn words_are_pinned() {
        let refused = Report::Refused { token: Token(0xBEEF), reason: Reason::UNMOVABLE_PAGE, errno: Errno(16) };
        let arm = Report::Arm { classes: Classes::CPU | Classes::MEMORY | Classes::PMEM, features: Features::TOKEN };
        assert_eq!(arm.word(), Word(0x2001_0046));
        assert_eq!(Report::Disarm.word(), Word(0x4000_0000));
        assert_eq!(Report::Started { token: Token(0xBEEF) }.word(), Word(0x6000_BEEF));
        assert_eq!(refused.word(), Word(0x8610_BEEF));
        assert_eq!(Report::Done { token: Token(1) }.word(), Word(0xA000_0001));
    }

    #[test]
    fn opcodes_are_pinned() {
        let opcodes = [Opcode::ARM, Opcode::DISARM, Opcode::STARTED, Opcode::REFUSED, Opcode::DONE];
        assert_eq!(opcodes.map(|opcode| opcode.0), [1, 2, 3, 4, 5]);
    }

    /// PUE-V-012: every opcode and high field, with every low half that has a single bit, all or none.
    #[test]
    fn word_that_has_a_meaning_is_the_word_of_that_meaning() {
        let low_halves = (0..16).map(|bit| 1_u32 << bit).chain([0, 0xFFFF]);
        for word in low_halves.flat_map(|low| (0..=u32::from(u16::MAX)).map(move |high| Word(high << 16 | low))) {
            assert!(word.report().is_none_or(|report| report.word() == word), "{word:?}");
        }
    }

    /// PUE-V-012
    #[test]
    fn word_with_a_reserved_opcode_or_bit_means_nothing() {
        let meaningless =
            [0, 0xC000_0000, 0xE000_0000, 0x2100_0002, 0x2000_0000, 0x4000_0001, 0x6100_0001, 0xA001_0001];
        assert!(meaningless.iter().all(|word| Word(*word).report().is_none()));
    }

    #[test]
    fn errno_is_taken_with_either_sign() {
        assert_eq!([-16, 16, 0, -133, -512].map(Errno::from_code), [16, 16, 0, 133, 0].map(Errno));
        assert_eq!(Errno::from_code(i32::MIN), Errno(0));
    }
}
