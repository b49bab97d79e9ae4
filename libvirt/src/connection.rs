// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connection to a libvirt daemon.

use crate::{
    error::Error,
    event_loop,
    library::{Connect, Library},
};
use std::{
    ffi::{CString, c_int, c_uint},
    ptr::{NonNull, null},
};

/// Time between probes of a silent daemon in seconds, and the number of probes that may stay unanswered: virsh's.
/// They find out that a remote host is gone, as TCP's own do.
const KEEPALIVE: (c_int, c_uint) = (5, 6);

/// Calls to the daemon after which the events that it had before are on their way: its main loop takes each call and
/// each event in turn.
const ROUND_TRIPS: usize = 2;

/// Connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    pub(crate) library: &'static Library,
    handle: NonNull<Connect>,
}

// SAFETY: libvirt locks a connection (libvirt.org, "Thread safety").
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

impl Connection {
    /// Connects to a URI, or to the one that libvirt chooses (`LIBVIRT_DEFAULT_URI` and its configuration). Blocks.
    pub fn open(uri: Option<&str>) -> Result<Self, Error> {
        let library = Library::get()?;
        let uri = uri.map(CString::new).transpose().map_err(|_| Error::Unnameable)?;
        let name = uri.as_ref().map_or(null(), |uri| uri.as_ptr());
        // SAFETY: the name is null or a string.
        let handle = unsafe { (library.virConnectOpen)(name) };
        let handle = NonNull::new(handle).ok_or_else(|| Error::latest(library))?;
        let connection = Self { library, handle };
        // A connection without keepalive is none the worse: drivers inside the process have none.
        // SAFETY: the connection is open.
        unsafe { (library.virConnectSetKeepAlive)(connection.as_ptr(), KEEPALIVE.0, KEEPALIVE.1) };
        Ok(connection)
    }

    /// Returns whether the connection is still open on both sides.
    pub fn is_alive(&self) -> bool {
        // SAFETY: the connection is open.
        unsafe { (self.library.virConnectIsAlive)(self.as_ptr()) == 1 }
    }

    /// Returns when the listeners have been told of each event that the daemon had when this was called; if the
    /// connection is lost, of each that had come by it.
    pub fn settle(&self) {
        for _ in 0..ROUND_TRIPS {
            let mut version = 0;
            // If the call fails, the daemon sends nothing more.
            // SAFETY: the connection is open, and the version is written to memory of its type.
            unsafe { (self.library.virConnectGetLibVersion)(self.as_ptr(), &raw mut version) };
        }
        event_loop::settle(self.library);
    }

    pub(crate) fn as_ptr(&self) -> *mut Connect {
        self.handle.as_ptr()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and this is the last use of it here. Callbacks hold it until they are freed.
        unsafe { (self.library.virConnectClose)(self.as_ptr()) };
    }
}
