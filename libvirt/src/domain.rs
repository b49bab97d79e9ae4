// SPDX-License-Identifier: MIT OR Apache-2.0

//! Domain: a VM of libvirt's.

use crate::{
    connection::Connection,
    error::Error,
    event::{Event, Listener, MonitorEvent},
    library::{Connect, Free, VirDomain},
};
use std::{
    ffi::{CStr, CString, c_char, c_int, c_longlong, c_uint, c_void},
    ptr::{NonNull, null, null_mut},
    sync::Arc,
};

/// `VIR_DOMAIN_AFFECT_LIVE`.
const LIVE: c_uint = 1;
/// `VIR_DOMAIN_SETVCPU_ASYNC_UNPLUG`, since libvirt 12.4.
const ASYNCHRONOUS: c_uint = 1 << 2;
/// `VIR_DOMAIN_EVENT_ID_LIFECYCLE`.
const LIFECYCLE: c_int = 0;
/// `VIR_DOMAIN_EVENT_STOPPED`.
const STOPPED: c_int = 5;

/// Domain. Dropping it leaves the VM alone.
#[derive(Debug)]
pub struct Domain {
    connection: Connection,
    handle: NonNull<VirDomain>,
    /// Numbers of the listener's registrations, which hold the connection open.
    lifecycle: Option<c_int>,
    monitor: Option<c_int>,
}

// SAFETY: libvirt's objects can be used by any thread (libvirt.org, "Thread safety").
unsafe impl Send for Domain {}
// SAFETY: as above.
unsafe impl Sync for Domain {}

impl Domain {
    /// Finds a domain by its name or its UUID, and tells a listener of each of its events from now on.
    pub fn find(connection: Connection, name: &str, listener: Listener) -> Result<Self, Error> {
        let library = connection.library;
        let text = CString::new(name).map_err(|_| Error::Unnameable)?;
        // SAFETY: the connection is open, and the name is a string.
        let by_name = unsafe { (library.virDomainLookupByName)(connection.as_ptr(), text.as_ptr()) };
        let handle = match NonNull::new(by_name) {
            Some(handle) => handle,
            None => {
                let error = Error::latest(library);
                // SAFETY: as above.
                let by_uuid = unsafe { (library.virDomainLookupByUUIDString)(connection.as_ptr(), text.as_ptr()) };
                NonNull::new(by_uuid).ok_or_else(|| match Error::latest(library) {
                    // The name is no UUID.
                    second if second.is_invalid_argument() => error,
                    second => second,
                })?
            }
        };
        let mut domain = Self { connection, handle, lifecycle: None, monitor: None };
        domain.listen(listener)?;
        Ok(domain)
    }

    /// Asks libvirt whether the domain runs.
    pub fn is_active(&self) -> Result<bool, Error> {
        // SAFETY: the domain is not freed.
        let result = unsafe { (self.connection.library.virDomainIsActive)(self.as_ptr()) };
        self.done(result).map(|()| result == 1)
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn listen(&mut self, listener: Listener) -> Result<(), Error> {
        let library = self.connection.library;
        let (connection, domain) = (self.connection.as_ptr(), self.as_ptr());
        let listener = Arc::new(listener);
        let held = || Arc::into_raw(Arc::clone(&listener)).cast_mut().cast::<c_void>();
        let release: Free = Some(release);
        // A listener whose registration fails is not freed.
        // SAFETY: the connection is open, and the callback takes a listener, which `release` releases.
        self.done(unsafe { (library.virConnectRegisterCloseCallback)(connection, on_close, held(), release) })?;
        // SAFETY: as above; the callback is of the event's type.
        let number = unsafe {
            (library.virConnectDomainEventRegisterAny)(connection, domain, LIFECYCLE, on_lifecycle, held(), release)
        };
        self.done(number)?;
        self.lifecycle = Some(number);
        // SAFETY: as above; a null name stands for all events.
        let number = unsafe {
            (library.virConnectDomainQemuMonitorEventRegister)(
                connection,
                domain,
                null(),
                on_monitor_event,
                held(),
                release,
                0,
            )
        };
        self.done(number)?;
        self.monitor = Some(number);
        Ok(())
    }

    /// Executes a QMP command, and returns QEMU's answer, which may be an error of QEMU's.
    pub fn execute(&self, command: &str) -> Result<String, Error> {
        let command = CString::new(command).map_err(|_| Error::Unnameable)?;
        let library = self.connection.library;
        let mut answer = null_mut();
        // SAFETY: the domain is not freed, the command is a string, and the answer is written to memory of its type.
        let result =
            unsafe { (library.virDomainQemuMonitorCommand)(self.as_ptr(), command.as_ptr(), &raw mut answer, 0) };
        if result < 0 {
            return Err(Error::latest(library));
        }
        // SAFETY: after success the answer is a string.
        let text = unsafe { CStr::from_ptr(answer) }.to_string_lossy().into_owned();
        // SAFETY: the caller frees the answer, which comes from malloc().
        unsafe { free(answer.cast()) };
        Ok(text)
    }

    /// Asks the guest for a device by its alias. Does not wait for the guest.
    pub fn detach(&self, alias: &str) -> Result<(), Error> {
        let alias = CString::new(alias).map_err(|_| Error::Unnameable)?;
        let library = self.connection.library;
        // SAFETY: the domain is not freed, and the alias is a string.
        self.done(unsafe { (library.virDomainDetachDeviceAlias)(self.as_ptr(), alias.as_ptr(), LIVE) })
    }

    /// Asks the guest for vCPUs, such as `2-3`. `Ok(false)` says that this libvirt cannot do so without waiting.
    pub fn ask_for_vcpus(&self, vcpus: &str) -> Result<bool, Error> {
        match self.disable(vcpus, LIVE | ASYNCHRONOUS) {
            Ok(()) => Ok(true),
            Err(error) if error.is_invalid_argument() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks the guest for vCPUs, and waits as long as libvirt does.
    pub fn take_vcpus(&self, vcpus: &str) -> Result<(), Error> {
        self.disable(vcpus, LIVE)
    }

    fn disable(&self, vcpus: &str, flags: c_uint) -> Result<(), Error> {
        let vcpus = CString::new(vcpus).map_err(|_| Error::Unnameable)?;
        // SAFETY: the domain is not freed, and the list is a string.
        self.done(unsafe { (self.connection.library.virDomainSetVcpu)(self.as_ptr(), vcpus.as_ptr(), 0, flags) })
    }

    fn done(&self, result: c_int) -> Result<(), Error> {
        if result < 0 { Err(Error::latest(self.connection.library)) } else { Ok(()) }
    }

    fn as_ptr(&self) -> *mut VirDomain {
        self.handle.as_ptr()
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        let library = self.connection.library;
        let (connection, domain) = (self.connection.as_ptr(), self.as_ptr());
        // Registrations hold the connection open. They end also where the daemon cannot be told.
        if let Some(number) = self.monitor {
            // SAFETY: the connection is open, and the number is that of a registration of this kind.
            unsafe { (library.virConnectDomainQemuMonitorEventDeregister)(connection, number) };
        }
        if let Some(number) = self.lifecycle {
            // SAFETY: as above.
            unsafe { (library.virConnectDomainEventDeregisterAny)(connection, number) };
        }
        // SAFETY: the connection is open; without such a callback the call fails.
        unsafe { (library.virConnectUnregisterCloseCallback)(connection, on_close) };
        // SAFETY: this is the last use of the domain here.
        unsafe { (library.virDomainFree)(domain) };
    }
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

unsafe extern "C" fn on_close(_: *mut Connect, _: c_int, listener: *mut c_void) {
    // SAFETY: the callback is registered with a listener.
    unsafe { tell(listener, Event::Disconnected) };
}

unsafe extern "C" fn on_lifecycle(
    _: *mut Connect,
    _: *mut VirDomain,
    event: c_int,
    _: c_int,
    listener: *mut c_void,
) -> c_int {
    if event == STOPPED {
        // SAFETY: the callback is registered with a listener.
        unsafe { tell(listener, Event::Stopped) };
    }
    0
}

unsafe extern "C" fn on_monitor_event(
    _: *mut Connect,
    _: *mut VirDomain,
    name: *const c_char,
    seconds: c_longlong,
    micros: c_uint,
    data: *const c_char,
    listener: *mut c_void,
) {
    let text = |text: *const c_char| {
        if text.is_null() {
            return String::new();
        }
        // SAFETY: libvirt passes null or a string that lasts as long as the call.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    let time =
        u64::try_from(seconds).ok().map(|seconds| seconds.saturating_mul(1_000_000).saturating_add(u64::from(micros)));
    let event = MonitorEvent { name: text(name), time, data: text(data) };
    // SAFETY: the callback is registered with a listener.
    unsafe { tell(listener, Event::Monitor(event)) };
}

/// Tells a listener of an event.
///
/// # Safety
/// The pointer is one to a listener that was not released.
unsafe fn tell(listener: *mut c_void, event: Event) {
    // SAFETY: the caller says so.
    let listener = unsafe { &*listener.cast::<Listener>() };
    listener(event);
}

unsafe extern "C" fn release(listener: *mut c_void) {
    // SAFETY: the pointer is from Arc::into_raw(), and libvirt releases it once.
    drop(unsafe { Arc::from_raw(listener.cast_const().cast::<Listener>()) });
}
