// SPDX-License-Identifier: MIT OR Apache-2.0

//! Token of a removal request.

use core::fmt;

/// The token of a request: 16 bits that the hypervisor puts into the hot plug event and the guest into its report.
///
/// LoPAR's Hotplug Token is 32 bits wide; this protocol uses its low half, so that a token fits the report word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u16);

impl Token {
    /// The request has no token: the hypervisor gave none, or the guest lost it.
    pub const NONE: Self = Self(0);

    /// Reads LoPAR's 32-bit Hotplug Token; one that does not fit is no token of this protocol.
    pub fn from_hotplug_token(value: u32) -> Self {
        match u16::try_from(value) {
            Ok(token) => Self(token),
            Err(_) => Self::NONE,
        }
    }

    /// Returns whether the token names a request.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hotplug_token_wider_than_16_bits_is_none() {
        assert_eq!(Token::from_hotplug_token(0xFFFF), Token(0xFFFF));
        assert_eq!(Token::from_hotplug_token(0x1_0000), Token::NONE);
        assert!(!Token::from_hotplug_token(0).is_some());
    }
}
