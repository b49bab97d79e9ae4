// SPDX-License-Identifier: GPL-2.0-only

//! What rustc wants every program to have, and the freestanding object has not: the kernel has `memcpy` and its like, and
//! nothing here takes arithmetic that the processor does not do by itself. A build that did would not link.

#![feature(compiler_builtins)]
#![compiler_builtins]
#![no_builtins]
#![no_std]
