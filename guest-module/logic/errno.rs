// SPDX-License-Identifier: GPL-2.0-only

//! Linux's error numbers, negative as the kernel's functions return them.

/// Operation not permitted.
pub const EPERM: i32 = -1;
/// Interrupted.
pub const EINTR: i32 = -4;
/// To be tried again.
pub const EAGAIN: i32 = -11;
/// Out of memory.
pub const ENOMEM: i32 = -12;
/// Busy.
pub const EBUSY: i32 = -16;
/// No such device.
pub const ENODEV: i32 = -19;
/// Invalid argument.
pub const EINVAL: i32 = -22;
/// Not supported.
pub const EOPNOTSUPP: i32 = -95;
