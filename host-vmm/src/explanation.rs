// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from spec/reasons.toml by tests/explanations.rs, which fails if it is not fresh and says how to renew it.

//! Explanations of reasons, for people.

use crate::wire::reason::Reason;

/// Meaning of a reason and an advice, in sentences, and whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Meaning of the reason.
    pub meaning: &'static str,
    /// Advice to the reader.
    pub advice: &'static str,
    /// Persistence of the reason.
    pub persistence: Persistence,
}

/// Persistence of a reason, for programs that decide whether to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistence {
    /// Asking again later can help, without anything else.
    Transient,
    /// Asking again helps only after somebody has followed the advice.
    NeedsAction,
    /// Asking again does not help until the guest boots again.
    Permanent,
    /// The reason alone does not say.
    Unknown,
}

impl Explanation {
    /// Returns the explanation of a reason; `None` for a reason that this crate does not know.
    pub fn of(reason: Reason) -> Option<Self> {
        #[rustfmt::skip]
        let (meaning, advice, persistence) = match reason.0 {
            0 => (
                "The guest refused and cannot say why.",
                "Look at the guest's kernel log. Retrying is safe.",
                Persistence::Unknown,
            ),
            1 => (
                "It is the last online CPU of the guest.",
                "Bring another CPU online in the guest, or choose another CPU.",
                Persistence::NeedsAction,
            ),
            2 => (
                "It is the last online CPU that may do the kernel's housekeeping; the others are isolated.",
                "Choose an isolated CPU, or bring another housekeeping CPU online.",
                Persistence::NeedsAction,
            ),
            3 => (
                "A CPU hotplug callback in the guest said no. The errno is the callback's.",
                "Find out which driver or scheduler policy in the guest needs this CPU (deadline tasks, pinned interrupts); the guest module's log names the state.",
                Persistence::NeedsAction,
            ),
            4 => (
                "CPU hotplug is switched off in the guest, for now or for good.",
                "If the errno is EBUSY, retry when the guest has finished; otherwise this guest cannot give CPUs back.",
                Persistence::Unknown,
            ),
            5 => (
                "Some threads of the core went offline before one refused, and stay offline. The errno is the refusing thread's.",
                "In the guest, bring the core's threads online again (ppc64_cpu --cores-on, or /sys/devices/system/cpu/cpuN/online) or remove what refuses and retry.",
                Persistence::NeedsAction,
            ),
            6 => (
                "A page in the memory block cannot be moved away.",
                "Online hot-added memory as movable (auto_online_blocks=online_movable), or retry when whoever pins the page has gone.",
                Persistence::Transient,
            ),
            7 => (
                "A memory or node notifier in the guest said no. The errno is the notifier's.",
                "Find out which driver in the guest watches memory hotplug (a device that maps it, memory encryption, error injection).",
                Persistence::NeedsAction,
            ),
            8 => (
                "A signal interrupted the attempt.",
                "Retry.",
                Persistence::Transient,
            ),
            9 => (
                "The memory block has holes, spans zones, or has no zone.",
                "This LMB cannot be removed until the guest boots again without it.",
                Persistence::Permanent,
            ),
            10 => (
                "A huge page in the memory block is in use or cannot be dissolved.",
                "Free or shrink the guest's huge page pool (vm.nr_hugepages) and retry.",
                Persistence::NeedsAction,
            ),
            11 => (
                "The LMB is reserved by the platform's own flags.",
                "This LMB cannot be removed.",
                Persistence::Permanent,
            ),
            12 => (
                "The guest does not have the LMB (any more).",
                "An earlier removal may have lost it; a reset of the guest makes both sides agree again.",
                Persistence::Permanent,
            ),
            13 => (
                "The LMB holds memory of firmware-assisted dump.",
                "Switch fadump off in the guest, or choose another DIMM.",
                Persistence::NeedsAction,
            ),
            14 => (
                "The guest has fewer removable LMBs than were asked for.",
                "Ask for fewer, or for a DIMM by its connectors.",
                Persistence::NeedsAction,
            ),
            15 => (
                "The guest knows no resource with this connector.",
                "If the device was only just plugged, the guest may not have taken it: retry. Otherwise it has been given back, or was never taken.",
                Persistence::Unknown,
            ),
            16 => (
                "The guest's kernel cannot remove this kind of resource, or not named in this way.",
                "This guest cannot do it; use another kernel.",
                Persistence::Permanent,
            ),
            17 => (
                "The guest had no memory for the attempt.",
                "Free memory in the guest and retry.",
                Persistence::Transient,
            ),
            18 => (
                "The platform did not take the connector back from the guest. The errno is what the guest's kernel made of the status.",
                "A disagreement between VMM and guest about the connector's state: look at the VMM's log.",
                Persistence::Unknown,
            ),
            19 => (
                "The attempt failed, and what had been taken could not all be put back: the guest has less than before. The connector is one that was lost.",
                "The removal can be retried; what was lost comes back at the guest's next reset.",
                Persistence::Transient,
            ),
            20 => (
                "The device tree node could not be detached in the guest.",
                "Look at the guest's kernel log. A retry is safe for all but a PHB: a kernel that removes the same PHB twice can crash, so reset that guest first.",
                Persistence::Unknown,
            ),
            21 => (
                "The guest lost the request before it handled it.",
                "Retry.",
                Persistence::Transient,
            ),
            22 => (
                "The guest could not make sense of the request.",
                "A fault of the VMM: report it.",
                Persistence::Permanent,
            ),
            23 => (
                "The guest took its attempt for a success, but connectors of the device are still its own. The VMM found that out; the connector is the lowest of them.",
                "Retry once. If it stays incomplete, only a reset of the guest makes both sides agree again.",
                Persistence::Transient,
            ),
            24 => (
                "A driver or a user of the device in the guest does not let go.",
                "Stop using the device in the guest and retry.",
                Persistence::NeedsAction,
            ),
            25 => (
                "No software in the guest handles this class of resource.",
                "Start rtas_errd (package ppc64-diag) or papr-unplug-agent in the guest and retry.",
                Persistence::NeedsAction,
            ),
            26 => (
                "The guest is shutting down, suspending or changing kernels.",
                "Wait until the guest is back, and ask again if the device is still there.",
                Persistence::Transient,
            ),
            27 => (
                "The guest's administrator forbids it.",
                "Ask the guest's administrator.",
                Persistence::NeedsAction,
            ),
            28 => (
                "The software in the guest that was to remove the device has ended without removing it. The errno field is its exit status, 128 and more for a signal (128 plus its number), or 0 if it took the request and began nothing.",
                "Look at /var/log/drmgr and /var/log/platform in the guest, and whether drmgr (package powerpc-utils) is installed and its disk is full; then retry.",
                Persistence::NeedsAction,
            ),
            29 => (
                "Another reconfiguration runs in the guest, and this one did not wait for it.",
                "Retry when the other reconfiguration has ended.",
                Persistence::Transient,
            ),
            31 => (
                "The reason's code stands in the errno field. None is defined yet.",
                "Update the VMM's tools.",
                Persistence::Unknown,
            ),
            _ => return None,
        };
        Some(Self { meaning, advice, persistence })
    }
}
