// SPDX-License-Identifier: GPL-2.0-only

//! Files in debugfs, through the C part.

use crate::files;
use core::{
    ffi::{c_char, CStr},
    fmt::{self, Write},
    marker::PhantomData,
};

/// `struct seq_file`
#[repr(C)]
struct SeqFile {
    _opaque: [u8; 0],
}

extern "C" {
    fn papr_directory_create(name: *const c_char);
    fn papr_file_create(name: *const c_char, show: unsafe extern "C" fn(*mut SeqFile));
    fn papr_text_write(to: *mut SeqFile, text: *const c_char, length: usize);
    fn papr_directory_remove();
}

/// The buffer for a reader.
struct Text<'a> {
    to: *mut SeqFile,
    _reading: PhantomData<&'a mut ()>,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: `show` made this for a reader that waits, and the text has this length.
        unsafe { papr_text_write(self.to, text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}

/// Defines a function that C can call for a file, and creates the file.
macro_rules! create {
    ($name:expr, $show:path) => {{
        unsafe extern "C" fn show(to: *mut SeqFile) {
            // The only error is that the buffer is full, and then the kernel asks again.
            let _ = $show(&mut Text { to, _reading: PhantomData });
        }
        let name: &'static CStr = $name;
        // SAFETY: The name is a static C string, and the function is static.
        unsafe { papr_file_create(name.as_ptr(), show) };
    }};
}

/// Creates the directory. A kernel without debugfs is no error.
pub(super) fn create() {
    // SAFETY: The name is a static C string.
    unsafe { papr_directory_create(files::DIRECTORY.as_ptr()) };
    create!(files::PROMISE, files::promise);
    create!(files::COUNTERS, files::counters);
    create!(files::REFUSALS, files::refusals);
    create!(files::REMOVAL, files::removal);
    create!(files::HANDOVER, files::handover);
    create!(files::PROBES_FILE, files::probes);
}

/// Removes the directory, and waits until no file is being read.
pub(super) fn remove() {
    // SAFETY: The function may be called in any task.
    unsafe { papr_directory_remove() };
}
