// SPDX-License-Identifier: MIT OR Apache-2.0

//! papr-unplug: the DR connectors of a PAPR machine, as a library for VMMs.
//!
//! A VMM makes one PaprUnplug for a machine, adds its connectors and attaches its devices. It passes on what the guest
//! does (papr_unplug_set_indicator(), papr_unplug_get_sensor_state(), papr_unplug_configure()) and what its user asks
//! for (papr_unplug_request(), papr_unplug_withdraw()). The calls return RTAS statuses and the hot plug events to send.
//! Effects say how requests ended and which devices to delete; papr_unplug_next_effect() takes them. Every request ends
//! with exactly one outcome, and never because time has passed.
//!
//! The first connector of a device names the device, the DRC index names a connector.
//!
//! In this order below: constants and structures; the machine; its connectors and devices; the guest's calls; the user's
//! requests; effects and outcomes; reasons; saved states; errors.
//!
//! Contract
//!   - A PaprUnplug pointer is NULL, or came from papr_unplug_new() and was not freed since. NULL is an error or does
//!     nothing.
//!   - One thread at a time uses a machine; it may be another thread each time. Different machines are independent, and
//!     so are the functions that take no machine.
//!   - Any other pointer is NULL, or points to an object of its type, or to as many of them as the number beside it
//!     says. The library uses it only during the call. An output pointer may be NULL. A NULL input buffer has a length
//!     of zero.
//!   - A pointer to a structure goes with its size, which is sizeof of the caller's structure. Later versions may
//!     append members: the library writes no more than that size, and clears what it does not know.
//!   - A VMM acts on PAPR_UNPLUG_EFFECT_KIND_DELETE in no context of a virtual CPU, because that CPU may belong to the
//!     device: the call returns to the guest first, and the VMM takes the effects in its main loop (a "bottom half").
//!     It takes all effects before it plugs a device or saves the machine.
//!   - A hot plug event that the guest has not fetched is void when its request has an outcome; and, be it an event
//!     that adds or that removes, when a device that it names is deleted, detached, or loses its connectors. The VMM
//!     does not deliver a void event. If its interrupt may be pending, the VMM delivers an event in its place that
//!     names no resource: Linux crashes when it takes the interrupt and finds no event.
//!
//! Results
//!   - int: 0 or more, or a PaprUnplugError below 0, which papr_unplug_error() explains. A call that fails changes
//!     nothing.
//!   - int32_t: a status, as RTAS returns it to the guest.
//!
//! Memory
//!   The guest cannot make the library use more memory. The library needs about 40 bytes for each connector, of which a
//!   machine takes at most 2097152, and about 64 bytes for each open request. If memory within these bounds cannot be
//!   allocated, the process aborts.
//!
//! Faults
//!   A panic of this library does not leave it and does not end the process. Its message goes to standard error, and
//!   the machine can then only be freed: functions that return int return PAPR_UNPLUG_ERROR_FAULT, those that return a
//!   status -1 (hardware error), others 0, false, or nothing.

// cbindgen makes `include/papr_unplug.h` of these files, with the text above at its top. Modules in the order that data
// flows: `handle` guards the calls on a `machine` with its `connector`s; calls of the guest are `rtas`, those of the
// user `request`; `effect` is what there is to do, which `poll` takes, with a `reason`; `migration` saves and loads,
// `incoming` collects what is loaded; `error` is why a call failed. Only `pointer` and `handle` touch memory of the
// caller.

// UNSAFETY: a C ABI exports symbols by their names and takes pointers from C. The contract about the pointers is above.
#![expect(unsafe_code, reason = "a C ABI exports symbols and takes pointers")]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(not(panic = "unwind"))]
compile_error!("the C ABI catches panics, so it has to be built with panic = \"unwind\"");

mod handle;
mod pointer;

mod machine;

mod connector;

mod rtas;

mod request;

mod effect;
mod poll;
mod reason;

mod incoming;
mod migration;

mod error;

pub use connector::{
    PaprUnplugResource, papr_unplug_add, papr_unplug_attach, papr_unplug_detach, papr_unplug_remove, papr_unplug_state,
};
pub use effect::{PaprUnplugCause, PaprUnplugEffect, PaprUnplugEffectKind, PaprUnplugEnd, PaprUnplugEvidence};
pub use error::{PaprUnplugError, papr_unplug_error};
pub use handle::PaprUnplug;
pub use machine::{
    PaprUnplugClass, PaprUnplugConfig, PaprUnplugFeature, papr_unplug_armed, papr_unplug_cas, papr_unplug_free,
    papr_unplug_new, papr_unplug_offer_property, papr_unplug_reset, papr_unplug_set_offer, papr_unplug_version,
};
pub use migration::{
    papr_unplug_has_more, papr_unplug_import, papr_unplug_load_begin, papr_unplug_load_end, papr_unplug_max_save,
    papr_unplug_pending, papr_unplug_renumbered, papr_unplug_restore, papr_unplug_save,
};
pub use poll::{papr_unplug_explain, papr_unplug_has_effect, papr_unplug_next_effect, papr_unplug_outcomes};
pub use reason::{
    PaprUnplugPersistence, papr_unplug_reason_advice, papr_unplug_reason_meaning, papr_unplug_reason_name,
    papr_unplug_reason_persistence,
};
pub use request::{
    PaprUnplugRequest, PaprUnplugRequested, papr_unplug_open_requests, papr_unplug_request,
    papr_unplug_request_together, papr_unplug_withdraw, papr_unplug_withhold,
};
pub use rtas::{
    PaprUnplugChange, papr_unplug_configure, papr_unplug_configured, papr_unplug_get_sensor_state,
    papr_unplug_set_indicator,
};
