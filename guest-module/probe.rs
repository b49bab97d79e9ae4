// SPDX-License-Identifier: GPL-2.0-only

//! Return probes: code that runs when a function of the kernel is entered and when it returns.

use crate::{errno::Errno, logic::watch::Follow, shim};
use core::{
    ffi::{c_ulong, CStr},
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
};

/// What is to be done when a function is entered and when it returns.
///
/// Both run as part of the function, in its task, with preemption off: they must neither sleep nor allocate.
pub(crate) trait Observer: 'static {
    /// The function.
    const SYMBOL: &'static CStr;

    /// Its name in some kernels, if that is another one.
    const OTHER_SYMBOL: Option<&'static CStr> = None;

    /// It was entered.
    fn enter(call: &Call<'_>) -> Follow;

    /// It returned this, and its call was to be followed.
    fn leave(returned: i32);
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
        read(address)
    }

    /// How many calls of the function went by unseen before this one.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

/// The `N` bytes at an address of the kernel; `None` if they cannot be read.
pub(crate) fn read<const N: usize>(address: usize) -> Option<[u8; N]> {
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: `bytes` has room for `N` bytes, and the function takes any address to read from.
    let read = unsafe { shim::papr_read_kernel(bytes.as_mut_ptr().cast(), address as c_ulong, N) };
    // SAFETY: All `N` bytes were written.
    read.then(|| unsafe { bytes.assume_init() })
}

/// How many calls of the function went by unseen, as far as there is a probe on it.
pub(crate) fn calls_missed<O: Observer>() -> u64 {
    // SAFETY: The name is a C string for ever.
    unsafe { shim::papr_probes_missed(O::SYMBOL.as_ptr()) }
}

/// A return probe, whoever observes it. In force for as long as this lives.
///
/// # Invariants
///
/// It is registered, by a name that is a C string for ever.
pub(crate) struct Registered(NonNull<shim::Probe>);

// SAFETY: Registered probes belong to no task.
unsafe impl Send for Registered {}
// SAFETY: All that can be done through a shared reference is to read a counter.
unsafe impl Sync for Registered {}

impl Registered {
    /// The function's name in this kernel.
    pub(crate) fn symbol(&self) -> &'static CStr {
        // SAFETY: By the type invariant it is registered, by a name that is a C string for ever.
        unsafe { CStr::from_ptr(shim::papr_probe_symbol(self.0.as_ptr())) }
    }

    /// How many calls of the function went by unseen.
    pub(crate) fn missed(&self) -> u64 {
        // SAFETY: By the type invariant it is registered.
        unsafe { shim::papr_probe_missed(self.0.as_ptr()) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered, and this is its end.
        unsafe { shim::papr_probe_unregister(self.0.as_ptr()) };
    }
}

/// A return probe for the observer `O`, in force for as long as this lives.
pub(crate) struct Probe<O: Observer> {
    registered: Registered,
    _observer: PhantomData<fn() -> O>,
}

impl<O: Observer> Probe<O> {
    /// Puts a probe on the function. Fails with `ENOENT` if the kernel has no such function.
    pub(crate) fn register() -> Result<Self, Errno> {
        let registered = match (Self::register_on(O::SYMBOL), O::OTHER_SYMBOL) {
            (Err(Errno::ENOENT), Some(other)) => Self::register_on(other),
            (registered, _) => registered,
        }?;
        Ok(Self { registered, _observer: PhantomData })
    }

    fn register_on(symbol: &'static CStr) -> Result<Registered, Errno> {
        let mut raw = ptr::null_mut();
        let enter = enter::<O>;
        let leave = leave::<O>;
        // SAFETY: The symbol is a C string for ever, the handlers may be called for ever, and `raw` has room for a pointer.
        Errno::check(unsafe { shim::papr_probe_register(symbol.as_ptr(), enter, leave, &mut raw) })?;
        // INVARIANT: It was registered just now, by one of the observer's names, which are C strings for ever.
        NonNull::new(raw).map(Registered).ok_or(Errno::ENOENT)
    }

    /// The probe, without its observer.
    pub(crate) fn registered(&self) -> &Registered {
        &self.registered
    }
}

unsafe extern "C" fn enter<O: Observer>(registers: *mut shim::Registers, missed: c_ulong) -> bool {
    O::enter(&Call { registers, missed, _entry: PhantomData }) == Follow::Return
}

unsafe extern "C" fn leave<O: Observer>(returned: c_ulong) {
    // CAST: All the functions of interest return an `int`, in the low half of the register.
    O::leave(returned as i32);
}
