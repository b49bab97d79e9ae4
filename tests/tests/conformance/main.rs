// SPDX-License-Identifier: MIT OR Apache-2.0

//! Conformance of a guest and of a VMM to the protocol. Each test boots its own VM and cites the clauses of
//! `spec/guest-conformance.md` and `spec/vmm-conformance.md` that it shows.

mod armed;
mod fallback;
mod guest_initiated;
mod identities;
mod late_load;
mod leftovers;
mod levels;
mod life;
mod many_requests;
mod migration;
mod our_vmm;
mod refusals;
mod self_removal;
mod unexpected;
mod user_space;
