// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that others write to: the only unsafe code of this crate.

#![expect(unsafe_code, reason = "mapping memory, and reading what others write")]

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::PROC_SUPER_MAGIC;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;

/// A read-only mapping of a file, shared with whoever writes it.
///
/// # Invariants
///
/// `start` is the start of `bytes` mapped, readable bytes, at a page's boundary, until this is
/// dropped; nobody in this process writes to them.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: The memory is only read, by atomic loads, which any thread may do.
unsafe impl Send for Memory {}
// SAFETY: As above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps the first bytes of a file, which must have so many.
    pub(crate) fn map(file: &File, bytes: usize) -> io::Result<Self> {
        // The kernel's own files have no length, and it checks by itself. Beyond the end of others
        // there is no memory, however far they are mapped.
        let is_kernels = rustix::fs::fstatfs(file)?.f_type == PROC_SUPER_MAGIC;
        if bytes == 0 || !is_kernels && file.metadata()?.len() < bytes as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: The address is the kernel's choice, so nothing that is in use is replaced.
        let start = unsafe {
            let (read, shared) = (ProtFlags::READ, MapFlags::SHARED);
            rustix::mm::mmap(std::ptr::null_mut(), bytes, read, shared, file, 0)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // INVARIANT: That is what has been mapped, and mappings start at pages.
        Ok(Memory { start, bytes })
    }

    /// The word at a place, `None` if it is not inside or not aligned. What the writer has written
    /// before it is seen after this.
    pub(crate) fn load(&self, at: usize) -> Option<u32> {
        let place = self.place::<u32>(at)?;
        // SAFETY: The place is inside the mapping and aligned; only atomic loads are made of it.
        Some(unsafe { AtomicU32::from_ptr(place) }.load(Ordering::Acquire))
    }

    /// `N` words of 8 bytes from a place on, as the bytes that they are; each word by itself is one
    /// that was there. `None` if they are not inside or not aligned.
    pub(crate) fn copy<const N: usize>(&self, at: usize) -> Option<Vec<u8>> {
        let _last = self.place::<u64>(at.checked_add(N.checked_sub(1)? * 8)?)?;
        let mut copy = Vec::with_capacity(N * 8);
        for word in 0..N {
            let place = self.place::<u64>(at + word * 8)?;
            // SAFETY: The place is inside the mapping and aligned; only atomic loads are made of it.
            let word = unsafe { AtomicU64::from_ptr(place) }.load(Ordering::Relaxed);
            copy.extend_from_slice(&word.to_ne_bytes());
        }
        Some(copy)
    }

    /// Where a `T` at that distance from the start is, if it is inside and aligned.
    fn place<T>(&self, at: usize) -> Option<*mut T> {
        let end = at.checked_add(size_of::<T>())?;
        if end > self.bytes || at % align_of::<T>() != 0 {
            return None;
        }
        // SAFETY: The distance is within the mapping, by the type's invariant.
        Some(unsafe { self.start.as_ptr().add(at) }.cast())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant this is a mapping of so many bytes, and nothing borrows
        // from it: what was read was copied.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
