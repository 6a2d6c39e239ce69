// SPDX-License-Identifier: GPL-2.0-only

//! Memory of the current process. Process context; may sleep.

use core::ffi::c_void;

use crate::error::code::EFAULT;
use crate::error::Result;
use crate::ffi;

/// An address in userspace, which may be anything.
#[derive(Clone, Copy)]
pub struct UserPtr(*mut c_void);

impl UserPtr {
    /// That address.
    pub fn from_ptr(address: *mut c_void) -> Self {
        UserPtr(address)
    }
}

/// So many bytes from an address in userspace on; whether they are accessible shows at their use.
pub struct UserSlice {
    address: UserPtr,
    length: usize,
}

impl UserSlice {
    /// So many bytes from there on.
    pub fn new(address: UserPtr, length: usize) -> Self {
        UserSlice { address, length }
    }

    /// To read from.
    pub fn reader(self) -> UserSliceReader {
        UserSliceReader(self)
    }

    /// To write to.
    pub fn writer(self) -> UserSliceWriter {
        UserSliceWriter(self)
    }

    /// Takes `length` bytes from its start; `EFAULT` if there are fewer.
    fn take(&mut self, length: usize, copy: impl FnOnce(*mut c_void) -> bool) -> Result {
        if length > self.length || !copy(self.address.0) {
            return Err(EFAULT);
        }
        self.address = UserPtr(self.address.0.wrapping_byte_add(length));
        self.length -= length;
        Ok(())
    }
}

/// Reads from userspace, from start to end.
pub struct UserSliceReader(UserSlice);

impl UserSliceReader {
    /// Bytes that are left.
    #[expect(clippy::len_without_is_empty, reason = "as in Rust-for-Linux, what is used of it")]
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Fills all of `out`; `EFAULT` if there are fewer bytes, or one is not accessible.
    pub fn read_slice(&mut self, out: &mut [u8]) -> Result {
        self.0.take(out.len(), |user| {
            // SAFETY: `out` may be written in its whole length; any address of userspace is allowed.
            unsafe { ffi::mutex_runtime_read_user(out.as_mut_ptr().cast(), user, out.len() as u64) }
        })
    }
}

/// Writes to userspace, from start to end.
pub struct UserSliceWriter(UserSlice);

impl UserSliceWriter {
    /// Bytes that there is room for.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether there is no room.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// Writes all of `data`; `EFAULT` if there is less room, or a byte is not accessible.
    pub fn write_slice(&mut self, data: &[u8]) -> Result {
        self.0.take(data.len(), |user| {
            // SAFETY: `data` may be read in its whole length; any address of userspace is allowed.
            unsafe { ffi::mutex_runtime_write_user(user, data.as_ptr().cast(), data.len() as u64) }
        })
    }
}
