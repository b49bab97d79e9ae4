// SPDX-License-Identifier: GPL-2.0-only

//! What can be read under `/sys/kernel/debug/papr_unplug`.

use crate::{shim, SENTRY, WATCH};
use core::{
    ffi::CStr,
    fmt::{self, Write},
    marker::PhantomData,
};

/// Makes the directory. It is no error if there is no debugfs.
pub(crate) fn create() {
    // SAFETY: The name is a C string for ever.
    unsafe { shim::papr_directory_create(c"papr_unplug".as_ptr()) };
    create_file::<Promise>();
    create_file::<Counters>();
    create_file::<Refusals>();
    create_file::<Probes>();
}

/// Removes it, and waits until nobody reads any more.
pub(crate) fn remove() {
    // SAFETY: It may be called at any time, as this is no probe.
    unsafe { shim::papr_directory_remove() };
}

fn create_file<F: File>() {
    // SAFETY: The name is a C string for ever, and the function may be called for ever.
    unsafe { shim::papr_file_create(F::NAME.as_ptr(), show::<F>) };
}

/// A file to read.
trait File {
    /// Its name.
    const NAME: &'static CStr;

    /// Writes what it holds now.
    fn show(to: &mut Text<'_>) -> fmt::Result;
}

unsafe extern "C" fn show<F: File>(to: *mut shim::Text) {
    // The only error there could be is for want of room, and then the kernel asks again, with more of it.
    let _ = F::show(&mut Text { to, _reading: PhantomData });
}

/// What a reader is given.
struct Text<'a> {
    to: *mut shim::Text,
    _reading: PhantomData<&'a mut ()>,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: By the type's construction in `show`, the kernel is reading into `to`; the text is as long as is said.
        unsafe { shim::papr_text_write(self.to, text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}

/// What the hypervisor offers to take, and what of it is promised, in one line.
struct Promise;

impl File for Promise {
    const NAME: &'static CStr = c"promise";

    fn show(to: &mut Text<'_>) -> fmt::Result {
        writeln!(to, "{}", WATCH.arming)
    }
}

/// One line for each counter: its name, a blank, its value.
struct Counters;

impl File for Counters {
    const NAME: &'static CStr = c"counters";

    fn show(to: &mut Text<'_>) -> fmt::Result {
        write!(to, "{}", WATCH.counters)
    }
}

/// One line for each of the last refusals, oldest first: `name=value` members, `seq` the first of them.
struct Refusals;

impl File for Refusals {
    const NAME: &'static CStr = c"refusals";

    fn show(to: &mut Text<'_>) -> fmt::Result {
        let journal = &WATCH.journal;
        for number in journal.oldest()..=journal.newest() {
            if let Some(refusal) = journal.get(number) {
                write!(to, "seq={number} ")?;
                refusal.write_members(to)?;
                to.write_char('\n')?;
            }
        }
        Ok(())
    }
}

/// One line for each probe: the function, then `active missed=N` or `absent`.
struct Probes;

impl File for Probes {
    const NAME: &'static CStr = c"probes";

    fn show(to: &mut Text<'_>) -> fmt::Result {
        // SAFETY: The probes are there before the files are made and go after they have been removed.
        unsafe { SENTRY.get() }.map_or(Ok(()), |sentry| sentry.write(to))
    }
}
