// SPDX-License-Identifier: GPL-2.0-only

//! Return probe: code that runs when a function of the kernel is entered and when it returns.

use crate::{
    bindings,
    entry::{to_result, Error, ENOENT},
    logic::tracker::Follow,
};
use core::{
    cell::Cell,
    ffi::{c_uint, c_ulong, CStr},
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
};

/// Group of probes, of which the missed calls can be counted: a number below `PAPR_GROUPS`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Group {
    /// Functions that can be a part of a removal that the kernel makes.
    Steps,
    /// The function that takes a hot plug event.
    Events,
    /// The canary.
    Canary,
    /// The function that adds an event to the kernel's log.
    Logs,
    /// Functions by which a process reads that log and closes it.
    Reads,
    /// Functions by which a process changes the device tree.
    Changes,
}

impl Group {
    /// Returns the number of calls that the probes of this group have missed.
    pub(crate) fn missed(self) -> u64 {
        // SAFETY: The function only adds counters. The groups are those of `shim.h`.
        unsafe { bindings::papr_group_missed(self as c_uint) }
    }
}

/// The handlers of a probe.
///
/// Both run as part of the function, in its task, with preemption disabled: they must neither sleep
/// nor allocate.
pub(crate) trait Observer: 'static {
    /// The name of the function.
    const SYMBOL: &'static CStr;

    /// The name of the function in some kernels, if that is another one.
    const OTHER_SYMBOL: Option<&'static CStr> = None;

    /// The group of the probe.
    const GROUP: Group = Group::Steps;

    /// Handles the entry of the function.
    fn enter(call: &Call<'_>) -> Follow;

    /// Handles the return of a call that is to be followed. `kept` is what [`Call::keep`] was
    /// given.
    fn leave(returned: i32, kept: usize);
}

/// A call of a probed function, at its entry.
pub(crate) struct Call<'a> {
    registers: *mut bindings::Registers,
    kept: Cell<usize>,
    _entry: PhantomData<&'a ()>,
}

impl Call<'_> {
    /// Returns argument `nr` of the function, counted from 0, as the register holds it.
    pub(crate) fn argument(&self, nr: u32) -> usize {
        // SAFETY: `enter` made this with the registers of a call that is being entered.
        unsafe { bindings::papr_probe_argument(self.registers, nr) as usize }
    }

    /// Keeps a word for the return of this call.
    pub(crate) fn keep(&self, word: usize) {
        self.kept.set(word);
    }
}

/// Reads `N` bytes at an address of the kernel. Returns `None` if they cannot be read.
pub(crate) fn read<const N: usize>(address: usize) -> Option<[u8; N]> {
    let mut bytes = MaybeUninit::<[u8; N]>::uninit();
    let (to, from) = (bytes.as_mut_ptr().cast(), address as c_ulong);
    // SAFETY: `bytes` has room for `N` bytes, and the function may be given any address to read.
    let read = unsafe { bindings::papr_read_kernel(to, from, N) };
    // SAFETY: All `N` bytes were written.
    read.then(|| unsafe { bytes.assume_init() })
}

/// A return probe, in force while this exists.
///
/// # Invariants
///
/// The probe is registered, with a name that is a static C string.
pub(crate) struct Registered(NonNull<bindings::Probe>);

// SAFETY: A registered probe belongs to no task.
unsafe impl Send for Registered {}
// SAFETY: A shared reference only gives access to a counter.
unsafe impl Sync for Registered {}

impl Registered {
    /// Returns the name of the function in this kernel.
    pub(crate) fn symbol(&self) -> &'static CStr {
        // SAFETY: By the type invariant the probe is registered.
        let symbol = unsafe { bindings::papr_probe_symbol(self.0.as_ptr()) };
        // SAFETY: By the type invariant the name is a static C string.
        unsafe { CStr::from_ptr(symbol) }
    }

    /// Returns the number of calls that the probe has missed.
    pub(crate) fn missed(&self) -> u64 {
        // SAFETY: By the type invariant the probe is registered.
        unsafe { bindings::papr_probe_missed(self.0.as_ptr()) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered, and it is unregistered only here.
        unsafe { bindings::papr_probe_unregister(self.0.as_ptr()) };
    }
}

/// A return probe with the observer `O`, in force while this exists.
pub(crate) struct Probe<O: Observer> {
    registered: Registered,
    _observer: PhantomData<fn() -> O>,
}

impl<O: Observer> Probe<O> {
    /// Puts a probe on the function. Fails with `ENOENT` if the kernel has no such function.
    pub(crate) fn register() -> Result<Self, Error> {
        let registered = Handlers::of::<O>().register()?;
        Ok(Self { registered, _observer: PhantomData })
    }

    /// Returns the probe without its observer.
    pub(crate) fn registered(&self) -> &Registered {
        &self.registered
    }
}

/// An observer without its type, so that the module has the code for all of them once.
pub(crate) struct Handlers {
    symbol: &'static CStr,
    other_symbol: Option<&'static CStr>,
    group: Group,
    enter: unsafe extern "C" fn(*mut bindings::Registers, &mut c_ulong) -> bool,
    leave: unsafe extern "C" fn(c_ulong, c_ulong),
}

impl Handlers {
    /// Returns the handlers of an observer.
    pub(crate) const fn of<O: Observer>() -> Self {
        Self {
            symbol: O::SYMBOL,
            other_symbol: O::OTHER_SYMBOL,
            group: O::GROUP,
            enter: enter::<O>,
            leave: leave::<O>,
        }
    }

    /// Returns the name of the function.
    pub(crate) fn symbol(&self) -> &'static CStr {
        self.symbol
    }

    /// Puts a probe on the function. Fails with `ENOENT` if the kernel has no such function.
    #[inline(never)]
    pub(crate) fn register(&self) -> Result<Registered, Error> {
        match (self.register_on(self.symbol), self.other_symbol) {
            (Err(err), Some(other)) if err == ENOENT => self.register_on(other),
            (registered, _) => registered,
        }
    }

    #[inline(never)]
    fn register_on(&self, symbol: &'static CStr) -> Result<Registered, Error> {
        let mut raw = ptr::null_mut();
        let name = symbol.as_ptr();
        // SAFETY: The name and the handlers are static, and `raw` has room for a pointer.
        let err = unsafe {
            let group = self.group as c_uint;
            bindings::papr_probe_register(name, group, self.enter, self.leave, &mut raw)
        };
        to_result(err)?;
        // INVARIANT: It was registered above, with a name that is a static C string.
        NonNull::new(raw).map(Registered).ok_or(ENOENT)
    }
}

unsafe extern "C" fn enter<O: Observer>(
    registers: *mut bindings::Registers,
    kept: &mut c_ulong,
) -> bool {
    let call = Call { registers, kept: Cell::new(0), _entry: PhantomData };
    let follow = O::enter(&call) == Follow::Return;
    if follow {
        *kept = call.kept.get() as c_ulong;
    }
    follow
}

unsafe extern "C" fn leave<O: Observer>(returned: c_ulong, kept: c_ulong) {
    // CAST: Each of the functions returns an `int`, in the low half of the register, or a number
    // that fits into one.
    O::leave(returned as i32, kept as usize);
}
