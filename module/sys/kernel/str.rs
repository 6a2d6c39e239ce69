// SPDX-License-Identifier: GPL-2.0-only

//! Strings as C has them.

use core::ffi::c_char;
use core::ffi::CStr;

/// Methods that Rust-for-Linux adds to [`CStr`].
pub trait CStrExt {
    /// The first character.
    fn as_char_ptr(&self) -> *const c_char;
}

impl CStrExt for CStr {
    fn as_char_ptr(&self) -> *const c_char {
        self.as_ptr()
    }
}
