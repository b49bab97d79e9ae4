// SPDX-License-Identifier: MIT OR Apache-2.0

//! Functions of libvirt's shared libraries.

use crate::{error::Error, event_loop};
use std::{
    ffi::{c_char, c_int, c_longlong, c_uint, c_ulong, c_void},
    sync::Mutex,
};

/// `virConnect`.
pub(crate) enum Connect {}

/// `virDomain`.
pub(crate) enum VirDomain {}

/// `virFreeCallback`.
pub(crate) type Free = Option<unsafe extern "C" fn(*mut c_void)>;

/// `virConnectCloseFunc`.
pub(crate) type OnClose = unsafe extern "C" fn(*mut Connect, c_int, *mut c_void);

/// `virConnectDomainEventCallback`.
pub(crate) type OnLifecycle = unsafe extern "C" fn(*mut Connect, *mut VirDomain, c_int, c_int, *mut c_void) -> c_int;

/// `virConnectDomainQemuMonitorEventCallback`.
pub(crate) type OnMonitorEvent =
    unsafe extern "C" fn(*mut Connect, *mut VirDomain, *const c_char, c_longlong, c_uint, *const c_char, *mut c_void);

/// `virEventTimeoutCallback`.
pub(crate) type OnTimeout = unsafe extern "C" fn(c_int, *mut c_void);

/// `virErrorFunc`.
pub(crate) type OnError = Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>;

macro_rules! functions {
    ($($library:ident from $file:literal { $(fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)* })*) => {
        /// Functions, by their names in libvirt's headers.
        #[derive(Debug)]
        #[expect(non_snake_case, reason = "the names are libvirt's")]
        pub(crate) struct Library {
            $($(pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*)*
            /// The libraries stay loaded as long as the functions.
            _loaded: [libloading::Library; 2],
        }

        impl Library {
            /// Loads the libraries and finds the functions.
            fn load() -> Result<Self, libloading::Error> {
                $(
                    // SAFETY: libvirt's libraries have no constructor that needs more than a process.
                    let $library = unsafe { libloading::Library::new($file)? };
                )*
                Ok(Self {
                    $($($name: {
                        let name = concat!(stringify!($name), "\0");
                        // SAFETY: the type is that of the function in libvirt's headers, which does not change.
                        *unsafe { $library.get(name.as_bytes())? }
                    },)*)*
                    _loaded: [$($library),*],
                })
            }
        }
    };
}

functions! {
    libvirt from "libvirt.so.0" {
        fn virInitialize() -> c_int;
        fn virGetLastErrorCode() -> c_int;
        fn virGetLastErrorMessage() -> *const c_char;
        fn virSetErrorFunc(*mut c_void, OnError);
        fn virEventRegisterDefaultImpl() -> c_int;
        fn virEventRunDefaultImpl() -> c_int;
        fn virEventAddTimeout(c_int, OnTimeout, *mut c_void, Free) -> c_int;
        fn virEventRemoveTimeout(c_int) -> c_int;
        fn virConnectOpen(*const c_char) -> *mut Connect;
        fn virConnectClose(*mut Connect) -> c_int;
        fn virConnectIsAlive(*mut Connect) -> c_int;
        fn virConnectSetKeepAlive(*mut Connect, c_int, c_uint) -> c_int;
        fn virConnectGetLibVersion(*mut Connect, *mut c_ulong) -> c_int;
        fn virConnectRegisterCloseCallback(*mut Connect, OnClose, *mut c_void, Free) -> c_int;
        fn virConnectUnregisterCloseCallback(*mut Connect, OnClose) -> c_int;
        fn virConnectDomainEventRegisterAny(
            *mut Connect, *mut VirDomain, c_int, OnLifecycle, *mut c_void, Free
        ) -> c_int;
        fn virConnectDomainEventDeregisterAny(*mut Connect, c_int) -> c_int;
        fn virDomainLookupByName(*mut Connect, *const c_char) -> *mut VirDomain;
        fn virDomainLookupByUUIDString(*mut Connect, *const c_char) -> *mut VirDomain;
        fn virDomainFree(*mut VirDomain) -> c_int;
        fn virDomainIsActive(*mut VirDomain) -> c_int;
        fn virDomainDetachDeviceAlias(*mut VirDomain, *const c_char, c_uint) -> c_int;
        fn virDomainSetVcpu(*mut VirDomain, *const c_char, c_int, c_uint) -> c_int;
    }
    libvirt_qemu from "libvirt-qemu.so.0" {
        fn virDomainQemuMonitorCommand(*mut VirDomain, *const c_char, *mut *mut c_char, c_uint) -> c_int;
        fn virConnectDomainQemuMonitorEventRegister(
            *mut Connect, *mut VirDomain, *const c_char, OnMonitorEvent, *mut c_void, Free, c_uint
        ) -> c_int;
        fn virConnectDomainQemuMonitorEventDeregister(*mut Connect, c_int) -> c_int;
    }
}

impl Library {
    /// Returns the libraries, with the event loop running. Loads them the first time.
    pub(crate) fn get() -> Result<&'static Self, Error> {
        static LOADED: Mutex<Option<&'static Library>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(library) = *loaded {
            return Ok(library);
        }
        // The libraries' own threads and callbacks last as long as the process.
        let library: &'static Self = Box::leak(Box::new(Self::load().map_err(Error::Missing)?));
        event_loop::start(library)?;
        *loaded = Some(library);
        Ok(library)
    }
}
