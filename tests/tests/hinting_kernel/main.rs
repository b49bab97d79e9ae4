// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel that hints at every refusal by itself (`packaging/linux/removal`). `cargo xtask test --kernel hints` builds it, and
//! runs these tests and those of the module that hold there, too.

mod administrator;
mod on_our_vmm;
mod on_stock_vmm;
mod other_requests;
mod with_module;
