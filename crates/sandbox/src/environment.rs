//! The variables that a process was started with, as other processes see them.

use std::ffi::{CStr, c_char};

/// Empties `/proc/<pid>/environ` of this process. Its variables stay what they are for whoever asks the C library.
///
/// Must come before any thread starts.
#[expect(unsafe_code, reason = "the block of variables has no safe form")]
pub fn conceal_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
    }
    // SAFETY: POSIX has `environ` point to an array of strings that ends with a null pointer, in memory that the
    // process may write to. There is one thread, so nobody reads a string while it is replaced, and whoever looks
    // at the array later finds a copy, which is never freed. As many bytes are cleared as the string has.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_owned();
            std::ptr::write_bytes(*entry, 0, text.as_bytes().len());
            *entry = text.into_raw();
            entry = entry.add(1);
        }
    }
}
