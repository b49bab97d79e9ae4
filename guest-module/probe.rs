// SPDX-License-Identifier: GPL-2.0-only

//! Return probes: code that runs when a function of the kernel is entered and when it returns.

use crate::{logic::watch::Follow, shim};
use core::{
    ffi::{c_ulong, c_void},
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull,
};
use kernel::{error::from_err_ptr, prelude::*};

/// What is to be done when a function is entered and when it returns.
///
/// Both methods run as part of the function, in its task, with preemption off: they must neither sleep nor allocate.
pub(crate) trait Observer: Send + Sync + 'static {
    /// The function.
    const SYMBOL: &'static CStr;

    /// It was entered.
    fn enter(&self, call: &Call<'_>) -> Follow;

    /// It returned this, and its call was to be followed.
    fn leave(&self, returned: i32);
}

/// A call of a probed function, at its entry.
pub(crate) struct Call<'a> {
    registers: *mut shim::Registers,
    missed: u64,
    _entry: PhantomData<&'a ()>,
}

impl Call<'_> {
    /// Argument `nr` of the function, counted from 0, as the register holds it.
    pub(crate) fn argument(&self, nr: u32) -> usize {
        // SAFETY: By the type's construction in `enter`, these are the registers of a call that is being entered.
        unsafe { shim::papr_probe_argument(self.registers, nr) as usize }
    }

    /// The `N` bytes at an address of the kernel; `None` if they cannot be read.
    pub(crate) fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `bytes` has room for `N` bytes, and the function takes any address to read from.
        let read = unsafe { shim::papr_read_kernel(bytes.as_mut_ptr().cast(), address as c_ulong, N) };
        // SAFETY: All `N` bytes were written.
        read.then(|| unsafe { bytes.assume_init() })
    }

    /// How many calls of the function went by unseen before this one.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

/// A return probe, in force for as long as this lives.
///
/// # Invariants
///
/// `raw` is registered, with `observer` as its observer.
pub(crate) struct Probe<O: Observer> {
    raw: NonNull<shim::Probe>,
    observer: NonNull<O>,
}

// SAFETY: Registered probes belong to no task, and observers may be dropped anywhere.
unsafe impl<O: Observer> Send for Probe<O> {}
// SAFETY: All that can be done through a shared reference is to read a counter.
unsafe impl<O: Observer> Sync for Probe<O> {}

impl<O: Observer> Probe<O> {
    /// Puts a probe on the function. Fails with `ENOENT` if the kernel has no function of that name.
    pub(crate) fn register(observer: O) -> Result<Self> {
        let observer = KBox::into_raw(KBox::new(observer, GFP_KERNEL)?);
        let enter = enter::<O>;
        let leave = leave::<O>;
        // SAFETY: The symbol is a C string for ever, and the handlers take an `O`, which `observer` points to and which
        // lives until the probe is unregistered.
        let raw = unsafe { shim::papr_probe_register(O::SYMBOL.as_ptr(), enter, leave, observer.cast()) };
        let raw = from_err_ptr(raw).and_then(|raw| NonNull::new(raw).ok_or(ENOMEM));
        match (raw, NonNull::new(observer)) {
            // INVARIANT: It was registered just now with this observer.
            (Ok(raw), Some(observer)) => Ok(Self { raw, observer }),
            (raw, _) => {
                // SAFETY: It came from `into_raw`, and nothing was registered that would use it.
                drop(unsafe { KBox::from_raw(observer) });
                Err(raw.err().unwrap_or(ENOMEM))
            }
        }
    }

    /// How many calls of the function went by unseen.
    pub(crate) fn missed(&self) -> u64 {
        // SAFETY: By the type invariant it is registered.
        unsafe { shim::papr_probe_missed(self.raw.as_ptr()) }
    }
}

impl<O: Observer> Drop for Probe<O> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered, and this is its end.
        unsafe { shim::papr_probe_unregister(self.raw.as_ptr()) };
        // SAFETY: It came from `into_raw`, and no handler that would use it runs any more.
        drop(unsafe { KBox::from_raw(self.observer.as_ptr()) });
    }
}

unsafe extern "C" fn enter<O: Observer>(observer: *mut c_void, registers: *mut shim::Registers, missed: c_ulong) -> bool {
    // SAFETY: It is what `register` gave, and lives until no handler runs any more.
    let observer = unsafe { &*observer.cast::<O>() };
    let call = Call { registers, missed, _entry: PhantomData };
    observer.enter(&call) == Follow::Return
}

unsafe extern "C" fn leave<O: Observer>(observer: *mut c_void, returned: c_ulong) {
    // SAFETY: It is what `register` gave, and lives until no handler runs any more.
    let observer = unsafe { &*observer.cast::<O>() };
    // CAST: All the functions of interest return an `int`, in the low half of the register.
    observer.leave(returned as i32);
}
