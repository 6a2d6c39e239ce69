// SPDX-License-Identifier: GPL-2.0-only

//! Errors as the kernel numbers them.

use core::ffi::c_int;
use core::ffi::c_void;
use core::fmt;

use crate::alloc::AllocError;

/// An errno, which is negative.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(c_int);

/// `Ok` or an errno.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// The errnos that the module uses; the numbers are the same on all supported architectures.
pub mod code {
    use super::Error;

    macro_rules! errnos {
        ($($name:ident = $number:literal, $what:literal;)*) => {
            $(#[doc = $what] pub const $name: Error = Error(-$number);)*

            /// The name of an errno of this list.
            pub(super) fn name(error: Error) -> Option<&'static str> {
                match error {
                    $($name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        };
    }

    errnos! {
        EPERM = 1, "Operation not permitted.";
        ENOENT = 2, "No such file or directory.";
        EIO = 5, "Input/output error.";
        EBADF = 9, "Bad file descriptor.";
        EAGAIN = 11, "Try again.";
        ENOMEM = 12, "Out of memory.";
        EFAULT = 14, "Bad address.";
        EBUSY = 16, "Device or resource busy.";
        ENODEV = 19, "No such device.";
        EINVAL = 22, "Invalid argument.";
    }
}

impl Error {
    /// The negative number.
    pub fn to_errno(self) -> c_int {
        self.0
    }

    /// An error pointer, as `ERR_PTR()` makes it.
    pub fn to_ptr<T>(self) -> *mut T {
        core::ptr::without_provenance_mut::<c_void>(self.0 as isize as usize).cast()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match code::name(*self) {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        code::ENOMEM
    }
}

/// What a C function returned: 0 or more is success, a negative number an errno.
pub fn to_result(returned: c_int) -> Result {
    if returned < 0 {
        Err(Error(returned))
    } else {
        Ok(())
    }
}
