// SPDX-License-Identifier: MIT OR Apache-2.0

//! libvirt's event loop, in a thread that lasts as long as the process. It calls the callbacks.

use crate::{
    error::Error,
    library::{Library, OnError},
};
use std::{
    ffi::{c_int, c_void},
    ptr::null_mut,
    sync::mpsc::{Sender, channel},
    thread,
};

/// Turns of the loop after which what had arrived before has been handed to the callbacks: libvirt keeps an event for
/// a timer of its own, which a turn that has begun may miss.
const TURNS: usize = 2;

/// Initializes libvirt and starts the loop. libvirt wants this before the first connection, and once.
pub(crate) fn start(library: &'static Library) -> Result<(), Error> {
    // SAFETY: the function takes nothing.
    if unsafe { (library.virInitialize)() } < 0 {
        return Err(Error::latest(library));
    }
    let silent: OnError = Some(ignore);
    // SAFETY: the handler uses neither of its arguments. Without one libvirt prints errors.
    unsafe { (library.virSetErrorFunc)(null_mut(), silent) };
    // SAFETY: no connection is open yet.
    if unsafe { (library.virEventRegisterDefaultImpl)() } < 0 {
        return Err(Error::latest(library));
    }
    let run = move || loop {
        // SAFETY: the implementation is registered, and no other thread runs it.
        unsafe { (library.virEventRunDefaultImpl)() };
    };
    thread::Builder::new().name("libvirt events".into()).spawn(run).map_err(Error::NoThread)?;
    Ok(())
}

/// Returns when the callbacks have been called with all events that libvirt has received so far.
pub(crate) fn settle(library: &'static Library) {
    for _ in 0..TURNS {
        let (sender, turned) = channel();
        let timer = Box::into_raw(Box::new(Timer { library, sender }));
        // Without memory for a timer there is no waiting for it.
        // SAFETY: `turn` and `free` take what is given here, and the loop calls `free` after the last `turn`.
        if unsafe { (library.virEventAddTimeout)(0, turn, timer.cast(), Some(free)) } < 0 {
            // SAFETY: libvirt has not taken the box.
            drop(unsafe { Box::from_raw(timer) });
            return;
        }
        // The sender is dropped with the timer, after it has sent.
        let _ = turned.recv();
    }
}

/// Timer that expires in the next turn of the loop.
struct Timer {
    library: &'static Library,
    sender: Sender<()>,
}

unsafe extern "C" fn turn(number: c_int, timer: *mut c_void) {
    // SAFETY: the timer is registered with a box of this type, which `free` has not freed yet.
    let timer = unsafe { &*timer.cast::<Timer>() };
    let _ = timer.sender.send(());
    let remove = timer.library.virEventRemoveTimeout;
    // SAFETY: a callback may remove its own timer; it is freed later.
    unsafe { remove(number) };
}

unsafe extern "C" fn free(timer: *mut c_void) {
    // SAFETY: the timer is registered with a box of this type, and not used any more.
    drop(unsafe { Box::from_raw(timer.cast::<Timer>()) });
}

unsafe extern "C" fn ignore(_: *mut c_void, _: *mut c_void) {}
