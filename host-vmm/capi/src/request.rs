// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the user does: asking for a device.

use crate::{
    error::Failure,
    machine::{PaprUnplug, enter},
    pointer,
};
use papr_unplug::{
    Request, RequestError,
    event::{Ask, Device, RequestId},
    wire::drc::DrcIndex,
};
use std::ffi::c_int;

/// A removal request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugRequest {
    /// Its name between the VMM and its user: 1 for the first, and so on, never used twice.
    pub id: u64,
    /// What is to be removed: a PaprUnplugResource.
    pub resource: u32,
    /// The first connector of the device.
    pub first: u32,
    /// How many connectors the device has.
    pub count: u32,
    /// The connector at which the guest gave away that it refuses, while its report is awaited; 0 if it did not.
    pub hint: u32,
    /// The token that its hot plug event carries; 0 says to send it without one.
    pub token: u16,
    /// Whether the guest has promised to answer it.
    pub is_promised: bool,
    /// Whether the guest has said that it has begun with it.
    pub is_started: bool,
}

const _: () = assert!(size_of::<PaprUnplugRequest>() == 32);

impl PaprUnplugRequest {
    fn released(id: RequestId, device: Device) -> Self {
        Self {
            id: id.0,
            resource: device.resource.0.into(),
            first: device.connectors.first().0,
            count: device.connectors.count(),
            hint: 0,
            token: 0,
            is_promised: false,
            is_started: false,
        }
    }
}

impl From<&Request> for PaprUnplugRequest {
    fn from(request: &Request) -> Self {
        Self {
            id: request.id.0,
            resource: request.device.resource.0.into(),
            first: request.device.connectors.first().0,
            count: request.device.connectors.count(),
            hint: request.hint.map_or(0, |hint| hint.0),
            token: request.token.0,
            is_promised: request.promised,
            is_started: request.started,
        }
    }
}

/// Asks for the device that `first` names (device_del). Every call that succeeds makes a request of its own, also while another
/// one for the same device is open.
///
/// Returns 0 if the guest is to be asked: the VMM sends it a hot plug event, with the token if there is one. Returns 1 if the
/// guest had given all of the device back before: the request has ended as released, and no event is sent. Either way
/// `request` is filled in, unless it is NULL.
///
/// Fails with PAPR_UNPLUG_ERROR_NO_SUCH_DEVICE or PAPR_UNPLUG_ERROR_TOO_MANY, and then makes no request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_request(
    machine: *mut PaprUnplug,
    first: u32,
    request: *mut PaprUnplugRequest,
) -> c_int {
    let ask = |machine: &mut PaprUnplug| match machine.ask(DrcIndex(first)) {
        Ok((code, made)) => (code, Some(made)),
        Err(failure) => (machine.answer(Err(failure)), None),
    };
    // SAFETY: the contract at the top of the header.
    let (code, made) = unsafe { enter(machine, ask) }.unwrap_or_else(|absent| (absent.code(), None));
    if let Some(made) = made {
        // SAFETY: the contract at the top of the header.
        unsafe { pointer::tell(request, made) };
    }
    code
}

/// Tells which requests have no outcome yet, oldest first. Writes no more than `room` of them; returns how many there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_open_requests(
    machine: *mut PaprUnplug,
    requests: *mut PaprUnplugRequest,
    room: usize,
) -> usize {
    let list =
        |machine: &mut PaprUnplug| machine.look().requests().iter().map(PaprUnplugRequest::from).collect::<Vec<_>>();
    // SAFETY: the contract at the top of the header.
    let open = unsafe { enter(machine, list) }.unwrap_or_default();
    // SAFETY: the contract at the top of the header.
    unsafe { pointer::fill(requests, room, &open) };
    open.len()
}

/// Writes LoPAR's hot plug section that asks the guest for the device of an open request: what follows the headers of a
/// platform event log of type 229. It is 20 bytes, or with a token 24. Memory is named by indexed count, other devices of one
/// connector by its index.
///
/// Returns the size, and writes nothing if `room` is less; 0 if no such request is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_section(
    machine: *mut PaprUnplug,
    id: u64,
    section: *mut u8,
    room: usize,
) -> usize {
    let find = |machine: &mut PaprUnplug| {
        let request = machine.look().requests().iter().find(|request| request.id == RequestId(id))?;
        let ask = Ask::new(request.id, request.device, request.token);
        Some(ask.section().as_ref().to_vec())
    };
    // SAFETY: the contract at the top of the header.
    let bytes = unsafe { enter(machine, find) }.ok().flatten().unwrap_or_default();
    if bytes.len() <= room {
        // SAFETY: the contract at the top of the header.
        unsafe { pointer::fill(section, room, &bytes) };
    }
    bytes.len()
}

impl PaprUnplug {
    fn ask(&mut self, first: DrcIndex) -> Result<(c_int, PaprUnplugRequest), Failure> {
        let (tracker, effects) = self.act();
        let device = tracker.device(first).ok_or(RequestError::NoSuchDevice(first))?;
        let made = tracker.request(first, effects)?;
        let open = tracker.requests().last().filter(|request| request.id == made.id());
        let released = PaprUnplugRequest::released(made.id(), device);
        Ok((c_int::from(open.is_none()), open.map_or(released, PaprUnplugRequest::from)))
    }
}
