// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C ABI of [`papr_unplug`]: the DR connectors of a PAPR machine, for a VMM written in C.
//!
//! `include/papr_unplug.h` is made from these files and says, to whoever reads C, what each function does and what it
//! expects; `examples/refused_dimm.c` shows it at work.
//!
//! In the order that data flows: a [`machine`] is what a handle stands for, with its [`connector`]s. The guest's calls come
//! in by [`rtas`], the user's by [`request`], and what there is to do comes out as [`effect`]s, with a [`reason`] a person
//! can act on. [`migration`] saves and restores, and [`incoming`] puts together what arrives in pieces. [`error`] is why
//! a call failed. All that touches a pointer of the caller's is in [`pointer`] and behind [`machine::enter`].
//!
//! The functions can be called from Rust too, as fuzzers do.

// UNSAFETY: a C ABI exports symbols by their names and takes pointers from C. What it takes for granted about them is one
// contract, which stands at the top of the header.
#![expect(unsafe_code, reason = "a C ABI exports symbols and takes pointers")]
#![expect(
    clippy::missing_safety_doc,
    reason = "one contract holds for all functions; it stands at the top of the header"
)]
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

mod machine;

mod connector;

mod rtas;

mod request;

mod effect;
mod reason;

mod incoming;
mod migration;

mod error;
mod pointer;

pub use connector::{
    PaprUnplugResource, papr_unplug_add, papr_unplug_attach, papr_unplug_detach, papr_unplug_remove, papr_unplug_state,
};
pub use effect::{
    PaprUnplugEffect, PaprUnplugEffectKind, PaprUnplugEnd, PaprUnplugEvidence, papr_unplug_explain,
    papr_unplug_next_effect,
};
pub use error::{PaprUnplugError, papr_unplug_error};
pub use machine::{
    PaprUnplug, PaprUnplugClass, PaprUnplugFeature, PaprUnplugOffer, papr_unplug_armed, papr_unplug_free,
    papr_unplug_new, papr_unplug_offer_property, papr_unplug_reset, papr_unplug_set_offer, papr_unplug_version,
};
pub use migration::{
    papr_unplug_has_more, papr_unplug_import, papr_unplug_pending, papr_unplug_restore, papr_unplug_save,
};
pub use reason::{papr_unplug_reason_advice, papr_unplug_reason_meaning, papr_unplug_reason_name};
pub use request::{PaprUnplugRequest, papr_unplug_open_requests, papr_unplug_request, papr_unplug_section};
pub use rtas::{
    papr_unplug_configure, papr_unplug_configured, papr_unplug_get_sensor_state, papr_unplug_set_indicator,
};
