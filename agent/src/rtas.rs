// SPDX-License-Identifier: MIT OR Apache-2.0

//! RTAS calls.

use crate::kernel::Kernel;
use anyhow::{Context as _, Result};
use papr_unplug_wire::wire::{
    drc::DrcIndex,
    rtas::{Indicator, Status},
};
use std::{fs, io};

/// Words of the buffer of a call: token, number of arguments, number of results, and room for 16 of both (`struct
/// rtas_args` of Linux, whose arguments and results share an array).
const WORDS: usize = 3 + 16;

/// Calls `set-indicator`, again as long as the firmware is busy.
pub(crate) fn set_indicator(kernel: &Kernel, indicator: Indicator, connector: DrcIndex, state: u32) -> Result<Status> {
    let token = fs::read(kernel.proc("device-tree/rtas/set-indicator")).context("the firmware has no set-indicator")?;
    let token = u32::from_be_bytes(token.as_slice().try_into().context("set-indicator has an odd token")?);
    loop {
        let mut words = [0_u32; WORDS];
        words[..6].copy_from_slice(&[token, 3, 1, indicator.0, connector.0, state].map(u32::to_be));
        call(&mut words)?;
        let status = Status(u32::from_be(words[6]).cast_signed());
        if !status.is_busy() {
            return Ok(status);
        }
    }
}

/// Makes a call, whose results are written behind its arguments.
#[cfg(target_arch = "powerpc64")]
fn call(words: &mut [u32; WORDS]) -> io::Result<()> {
    // UNSAFETY: no library has this system call but in C.
    // SAFETY: The kernel reads and writes only the words of `struct rtas_args` that the two numbers name, which are in
    // the array.
    #[expect(unsafe_code, reason = "the system call has no safe wrapper")]
    let result = unsafe { libc::syscall(libc::SYS_rtas, words.as_mut_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes no call: other machines have no RTAS.
#[cfg(not(target_arch = "powerpc64"))]
fn call(_: &mut [u32; WORDS]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
