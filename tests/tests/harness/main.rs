// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests of the harness itself: it sees what goes wrong, and it sees the defects of a stock guest on stock QEMU. The
//! other tests rely on that.

mod baseline;
mod inspection;
