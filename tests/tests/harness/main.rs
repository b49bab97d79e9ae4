// SPDX-License-Identifier: MIT OR Apache-2.0

//! The harness itself: it sees what goes wrong, and it sees the defects of a stock guest on stock QEMU. Without these tests the
//! other ones prove nothing.

mod baseline;
mod inspection;
