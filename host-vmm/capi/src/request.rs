// SPDX-License-Identifier: MIT OR Apache-2.0

//! Requests of the user.

use crate::{
    error::Failure,
    handle::{PaprUnplug, enter},
    pointer,
};
use papr_unplug::{
    Request, RequestError, Tracker,
    event::{Ask, Device, RequestId, Requested},
    wire::drc::DrcIndex,
};
use std::ffi::c_int;

/// A removal request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugRequest {
    /// Id between the VMM and its user: 1 for the first request, 2 for the next. No number is used twice.
    pub id: u64,
    /// Resource type of the device, a PaprUnplugResource.
    pub resource: u32,
    /// First connector of the device.
    pub first: u32,
    /// Number of connectors of the device.
    pub count: u32,
    /// Connector of the hint that the guest sent, while its report is awaited; 0 for none.
    pub hint: u32,
    /// Token that its hot plug event carries; 0 for none.
    pub token: u32,
    /// True if the guest has promised to answer the request.
    pub is_promised: bool,
    /// True if the guest has reported that it began to handle the request.
    pub is_started: bool,
    /// True if the guest has not been asked yet, see papr_unplug_withhold().
    pub is_withheld: bool,
    /// True if the request came from a VMM without this library.
    pub is_imported: bool,
}

/// A request that was made, and the hot plug event to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PaprUnplugRequested {
    /// Number of bytes of `section` to send; 0 if no hot plug event is to be sent.
    pub section_size: u32,
    /// LoPAR's hot plug section, which follows the headers of a platform event log of type 229: 20 bytes, or 24 with a
    /// token. Memory is named by indexed count, other devices of one connector by its index.
    pub section: [u8; 60],
    /// The request.
    pub request: PaprUnplugRequest,
}

const _: () = assert!(size_of::<PaprUnplugRequest>() == 32);
const _: () = assert!(size_of::<PaprUnplugRequested>() == 96);

impl From<&Request> for PaprUnplugRequest {
    fn from(request: &Request) -> Self {
        Self {
            token: request.token.0.into(),
            hint: request.hint.map_or(0, |hint| hint.0),
            is_promised: request.promised,
            is_started: request.started,
            is_withheld: request.withheld,
            is_imported: request.imported,
            ..Self::of(request.id, request.device)
        }
    }
}

impl PaprUnplugRequest {
    fn of(id: RequestId, device: Device) -> Self {
        Self {
            id: id.0,
            resource: device.resource.0.into(),
            first: device.connectors.first().0,
            count: device.connectors.count(),
            ..Self::default()
        }
    }
}

impl PaprUnplugRequested {
    /// Returns what was requested. `tracker` holds the request if it is open.
    fn of(tracker: &Tracker, requested: &Requested) -> Self {
        let id = requested.id();
        let open = || tracker.requests().iter().find(|request| request.id == id).map(PaprUnplugRequest::from);
        let request = match requested {
            Requested::Released(outcome) => PaprUnplugRequest::of(id, outcome.device),
            _ => open().unwrap_or_default(),
        };
        let mut made = Self { section_size: 0, section: [0; 60], request };
        if let Requested::Ask(ask) = requested {
            made.write(ask);
        }
        made
    }

    fn write(&mut self, ask: &Ask) {
        let section = ask.section();
        let bytes = section.as_ref();
        if let Some(place) = self.section.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.section_size = u32::try_from(bytes.len()).unwrap_or_default();
        }
    }

    /// Returns the result of a function that makes one request.
    fn code(&self, requested: &Requested) -> c_int {
        c_int::from(matches!(requested, Requested::Released(_)))
    }
}

/// Requests the removal of a device (device_del). Every call that succeeds makes a request of its own, also while
/// another one for the same device is open.
///
/// Returns 0 if the VMM has to send the guest the hot plug section in `made`. Returns 1 if the guest had given all of
/// the device back before: the request has ended as released, and nothing is sent. `made` is filled in either way.
///
/// Fails with PAPR_UNPLUG_ERROR_NO_SUCH_DEVICE, or with PAPR_UNPLUG_ERROR_TOO_MANY if too many requests are open, for
/// this device or in all.
///
/// # Safety
/// `machine` and `made` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_request(
    machine: *mut PaprUnplug,
    first: u32,
    made: *mut PaprUnplugRequested,
    size: usize,
) -> c_int {
    let ask = |machine: &mut PaprUnplug| machine.ask(first, |tracker, first, effects| tracker.request(first, effects));
    // SAFETY: by this function's contract.
    unsafe { make(machine, ask, made, size) }
}

/// Requests the removal of a device without asking the guest yet: a PCI function other than 0, which leaves with
/// function 0. The request is withheld until papr_unplug_request_together() or papr_unplug_request() names the device.
///
/// Returns and fails as papr_unplug_request() does. `made` has no hot plug section.
///
/// # Safety
/// `machine` and `made` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_withhold(
    machine: *mut PaprUnplug,
    first: u32,
    made: *mut PaprUnplugRequested,
    size: usize,
) -> c_int {
    let ask = |machine: &mut PaprUnplug| machine.ask(first, |tracker, first, effects| tracker.withhold(first, effects));
    // SAFETY: by this function's contract.
    unsafe { make(machine, ask, made, size) }
}

/// Requests the removal of `count` devices that leave together: the functions of a PCI slot, function 0 last. Makes
/// requests for all or for none. `firsts` names each device once.
///
/// The last device gets a new request. Every other device gets one if none is open for it. Requests that are open and
/// withheld are withheld no longer: the guest is asked for each of them, and it is promised if the guest has armed. A
/// device that the guest was asked for before is asked for again unless its answer is promised.
///
/// Writes one element of `made` for each request that the guest is asked for, or that is released at once, in the order
/// of the devices; the last one is that of the last device. The VMM sends the hot plug sections in that order, those of 0
/// bytes not. `made` has room for `room` elements: at least `count` and the number of requests that are open (see
/// papr_unplug_open_requests()).
///
/// Returns the number of elements. Fails as papr_unplug_request() does, with PAPR_UNPLUG_ERROR_ARGUMENT also if a device
/// is named twice, or if there is less room. A call that fails changes nothing.
///
/// # Safety
/// `machine`, `firsts` and `made` keep to the contract at the top; `firsts` has `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_request_together(
    machine: *mut PaprUnplug,
    firsts: *const u32,
    count: usize,
    made: *mut PaprUnplugRequested,
    size: usize,
    room: usize,
) -> c_int {
    // SAFETY: by this function's contract.
    let firsts = unsafe { pointer::values(firsts, count) };
    let ask = |machine: &mut PaprUnplug| match machine.ask_together(firsts, room) {
        Ok(all) => (c_int::try_from(all.len()).unwrap_or(c_int::MAX), all),
        Err(failure) => (machine.answer(Err(failure)), Vec::new()),
    };
    // SAFETY: by this function's contract.
    let (code, all) = unsafe { enter(machine, ask) }.unwrap_or_else(|absent| (absent.code(), Vec::new()));
    // SAFETY: by this function's contract.
    unsafe { pointer::fill_sized(made, size, room, &all) };
    code
}

/// Withdraws an open request, which ends as PAPR_UNPLUG_END_WITHDRAWN. If the guest has fetched its hot plug event, it
/// may still give the device back, and then the device is deleted.
///
/// Returns 0. Fails with PAPR_UNPLUG_ERROR_NO_SUCH_REQUEST if no such request is open.
///
/// # Safety
/// `machine` keeps to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_withdraw(machine: *mut PaprUnplug, id: u64) -> c_int {
    let withdraw = |machine: &mut PaprUnplug| {
        let result = machine.tracker.withdraw(RequestId(id), &mut machine.effects);
        machine.answer(result.map(|()| 0).map_err(Failure::from))
    };
    // SAFETY: by this function's contract.
    unsafe { enter(machine, withdraw) }.unwrap_or_else(|absent| absent.code())
}

/// Lists the requests without an outcome, oldest first. Writes no more than `room` of them, `size` bytes each. Returns
/// their number.
///
/// # Safety
/// `machine` and `requests` keep to the contract at the top.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn papr_unplug_open_requests(
    machine: *mut PaprUnplug,
    requests: *mut PaprUnplugRequest,
    size: usize,
    room: usize,
) -> usize {
    let list =
        |machine: &mut PaprUnplug| machine.tracker.requests().iter().map(PaprUnplugRequest::from).collect::<Vec<_>>();
    // SAFETY: by this function's contract.
    let open = unsafe { enter(machine, list) }.unwrap_or_default();
    // SAFETY: by this function's contract.
    unsafe { pointer::fill_sized(requests, size, room, &open) };
    open.len()
}

/// Makes a request, and writes it.
///
/// # Safety
/// `machine` and `made` keep to the contract at the top.
unsafe fn make(
    machine: *mut PaprUnplug,
    ask: impl FnOnce(&mut PaprUnplug) -> Result<(c_int, PaprUnplugRequested), Failure>,
    made: *mut PaprUnplugRequested,
    size: usize,
) -> c_int {
    let ask = |machine: &mut PaprUnplug| match ask(machine) {
        Ok((code, requested)) => (code, Some(requested)),
        Err(failure) => (machine.answer(Err(failure)), None),
    };
    // SAFETY: by this function's contract.
    let (code, requested) = unsafe { enter(machine, ask) }.unwrap_or_else(|absent| (absent.code(), None));
    if let Some(requested) = requested {
        // SAFETY: by this function's contract.
        unsafe { pointer::tell_sized(made, size, &requested) };
    }
    code
}

impl PaprUnplug {
    fn ask(
        &mut self,
        first: u32,
        request: impl FnOnce(&mut Tracker, DrcIndex, &mut crate::effect::Effects) -> Result<Requested, RequestError>,
    ) -> Result<(c_int, PaprUnplugRequested), Failure> {
        let requested = request(&mut self.tracker, DrcIndex(first), &mut self.effects)?;
        let made = PaprUnplugRequested::of(&self.tracker, &requested);
        Ok((made.code(&requested), made))
    }

    fn ask_together(&mut self, firsts: &[u32], room: usize) -> Result<Vec<PaprUnplugRequested>, Failure> {
        if firsts.len().saturating_add(self.tracker.requests().len()) > room {
            let text = "there is less room than for one element of each device and of each open request";
            return Err(Failure::argument(text));
        }
        let firsts: Vec<DrcIndex> = firsts.iter().copied().map(DrcIndex).collect();
        let requested = self.tracker.request_together(&firsts, &mut self.effects)?;
        Ok(requested.iter().map(|requested| PaprUnplugRequested::of(&self.tracker, requested)).collect())
    }
}
