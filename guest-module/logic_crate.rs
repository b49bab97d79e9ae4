// SPDX-License-Identifier: GPL-2.0-only
//! wip
#![no_std]
