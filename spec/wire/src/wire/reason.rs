// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reason of a refusal. `spec/reasons.toml` explains each reason, and what a person can do about it.

use core::fmt;

/// The reason of a refusal: 5 bits of the report word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u8);

/// The constants and their names from one table, so that neither can be forgotten.
macro_rules! reasons {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal;)*) => {
        impl Reason {
            $($(#[$doc])* pub const $constant: Self = Self($code);)*

            /// Every reason of this list, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            /// Returns the name in `spec/reasons.toml`; `None` for a code that is not in this list.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some($name),)*
                    Self(_) => None,
                }
            }
        }
    };
}

reasons! {
    /// The guest refused and does not know the reason.
    UNATTRIBUTED = 0, "unattributed";
    /// The CPU is the last online one.
    LAST_CPU = 1, "last-cpu";
    /// The CPU is the last one that may do the kernel's housekeeping.
    LAST_HOUSEKEEPING_CPU = 2, "last-housekeeping-cpu";
    /// A CPU hotplug callback refused.
    CPU_VETO = 3, "cpu-veto";
    /// CPU hotplug is switched off.
    CPU_HOTPLUG_DISABLED = 4, "cpu-hotplug-disabled";
    /// Some threads of the core went offline before one refused, and they stay offline.
    CORE_PARTLY_OFFLINE = 5, "core-partly-offline";
    /// A page of the memory block cannot be moved.
    UNMOVABLE_PAGE = 6, "unmovable-page";
    /// A memory notifier refused.
    MEMORY_VETO = 7, "memory-veto";
    /// A signal interrupted the attempt.
    INTERRUPTED = 8, "interrupted";
    /// The memory block has holes or spans zones.
    MEMORY_LAYOUT = 9, "memory-layout";
    /// A huge page in the memory block could not be dissolved.
    HUGE_PAGE = 10, "huge-page";
    /// The LMB is reserved.
    LMB_RESERVED = 11, "lmb-reserved";
    /// The LMB is not assigned to the guest.
    LMB_NOT_ASSIGNED = 12, "lmb-not-assigned";
    /// The LMB belongs to firmware-assisted dump.
    LMB_FADUMP = 13, "lmb-fadump";
    /// Fewer LMBs are removable than were asked for.
    NOT_ENOUGH_LMBS = 14, "not-enough-lmbs";
    /// The guest knows no such resource.
    NO_SUCH_RESOURCE = 15, "no-such-resource";
    /// The guest's kernel cannot remove this kind of resource, or not in this way.
    UNSUPPORTED = 16, "unsupported";
    /// The guest had no memory for the attempt.
    NO_MEMORY = 17, "no-memory";
    /// The platform did not take the connector back.
    FIRMWARE_REFUSED = 18, "firmware-refused";
    /// The attempt failed, and what had been taken could not all be put back.
    ROLLBACK_FAILED = 19, "rollback-failed";
    /// The device tree node could not be detached.
    DETACH_FAILED = 20, "detach-failed";
    /// The guest lost the request before handling it.
    DROPPED = 21, "dropped";
    /// The guest does not understand the request.
    MALFORMED = 22, "malformed";
    /// The attempt succeeded for the guest, but connectors of the device are not given back.
    INCOMPLETE = 23, "incomplete";
    /// A driver or a user of the device holds it.
    IN_USE = 24, "in-use";
    /// No software in the guest handles this class of resource.
    NO_AGENT = 25, "no-agent";
    /// The guest is shutting down or suspending.
    GOING_DOWN = 26, "going-down";
    /// The guest's administrator forbids it.
    POLICY = 27, "policy";
    /// The software that was to remove the device has ended without removing it. The errno is its exit status.
    AGENT_FAILED = 28, "agent-failed";
    /// Another reconfiguration runs in the guest.
    BUSY = 29, "busy";
    /// The code stands in the errno field: room for 256 more.
    EXTENDED = 31, "extended";
}

impl Reason {
    /// The largest code that the report word can hold.
    pub const MAX: u8 = 31;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "reason {:#04x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_pinned() {
        let expected = (0..=29).chain([31]);
        assert!(Reason::ALL.iter().map(|reason| reason.0).eq(expected));
        assert_eq!(Reason::UNMOVABLE_PAGE.0, 6);
        assert_eq!(Reason::DROPPED.0, 21);
    }

    #[test]
    fn reason_unknown_today_has_no_name() {
        assert_eq!(Reason(30).name(), None);
        assert_eq!(Reason::LAST_CPU.name(), Some("last-cpu"));
    }
}
