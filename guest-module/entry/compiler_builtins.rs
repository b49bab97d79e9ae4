// SPDX-License-Identifier: GPL-2.0-only

//! Empty crate in the place of the compiler builtins that rustc requires of every program.
//!
//! The kernel has `memcpy` and its like. Nothing here needs arithmetic that the processor does not
//! have; a build that did would not link.

#![feature(compiler_builtins)]
#![compiler_builtins]
#![no_builtins]
#![no_std]
