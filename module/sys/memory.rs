// SPDX-License-Identifier: GPL-2.0-only

//! Large zeroed tables.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use kernel::prelude::*;
use mutex_core::alert;
use mutex_core::connection::Connection;
use mutex_core::engine::Memory;
use mutex_core::fd::Fd;
use mutex_core::fd::FdSums;
use mutex_core::index::Bucket;
use mutex_core::latency::Octave;
use mutex_core::monitor;
use mutex_core::quality::Quality;
use mutex_core::shares;

use super::bindings;
use super::percpu::PerCpu;
use crate::watch::Watchers;

/// A type of which all zeros are a value.
///
/// # Safety
///
/// All zero bytes are a valid value of the type, and it needs no more than page alignment.
pub(crate) unsafe trait Zeroable {}

// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for Connection {}
// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for Fd {}
// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for Bucket {}
// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for Quality {}
// SAFETY: It is an atomic integer.
unsafe impl Zeroable for shares::Slot {}
// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for Octave {}
// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for alert::Slot {}
// SAFETY: Integers and atomic integers only.
unsafe impl Zeroable for monitor::Slot {}
// SAFETY: It is an integer.
unsafe impl Zeroable for AtomicU64 {}
// SAFETY: It is an integer.
unsafe impl Zeroable for u8 {}
// SAFETY: Integers only.
unsafe impl Zeroable for FdSums {}

/// A table of which every element is zero at first.
///
/// # Invariants
///
/// `first` points to `length` initialised elements that this table owns, allocated by
/// `mutex_memory_allocate`; it dangles if `length` is 0.
pub(crate) struct Zeroed<T> {
    first: NonNull<T>,
    length: usize,
}

// SAFETY: The table owns its elements, so it may go where they may.
unsafe impl<T: Send> Send for Zeroed<T> {}
// SAFETY: A shared table gives shared elements only.
unsafe impl<T: Sync> Sync for Zeroed<T> {}

impl<T: Zeroable> Zeroed<T> {
    /// A table of `length` elements.
    pub(crate) fn new(length: usize) -> Result<Self> {
        let bytes = length.checked_mul(size_of::<T>()).ok_or(ENOMEM)?;
        if bytes == 0 {
            // INVARIANT: No element, so nothing to point to.
            return Ok(Zeroed { first: NonNull::dangling(), length: 0 });
        }
        // SAFETY: May be called with any number in process context.
        let memory = unsafe { bindings::mutex_memory_allocate(bytes as u64) };
        let first = NonNull::new(memory.cast::<T>()).ok_or(ENOMEM)?;
        // INVARIANT: The memory is large enough, aligned to a page and zero, and all zeros are a
        // value of each element by `Zeroable`.
        Ok(Zeroed { first, length })
    }
}

impl<T> Zeroed<T> {
    /// Its memory: where it begins, and bytes.
    pub(super) fn memory(&self) -> (*const c_void, u64) {
        (self.first.as_ptr().cast(), (self.length * size_of::<T>()) as u64)
    }
}

impl<T> Deref for Zeroed<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type's invariant.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.length) }
    }
}

impl<T> core::ops::DerefMut for Zeroed<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type's invariant, and the table is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), self.length) }
    }
}

impl<T> Drop for Zeroed<T> {
    fn drop(&mut self) {
        const { assert!(!core::mem::needs_drop::<T>()) };
        if self.length != 0 {
            // SAFETY: By the type's invariant; nobody borrows the elements any more, and they need
            // no drop.
            unsafe { bindings::mutex_memory_free(self.first.as_ptr().cast()) };
        }
    }
}

/// The kernel's memory.
pub(crate) struct KernelMemory;

impl Memory for KernelMemory {
    type Connections = Zeroed<Connection>;
    type Qualities = Zeroed<Quality>;
    type Octaves = Zeroed<Octave>;
    type Fds = Zeroed<Fd>;
    type Buckets = Zeroed<Bucket>;
    type Shares = Zeroed<shares::Slot>;
    type AlertSlots = Zeroed<alert::Slot>;
    type Cpus = PerCpu;
    type System = Watchers;

    #[inline(always)]
    fn prefetch<T>(what: &T) {
        for offset in (0..size_of::<T>()).step_by(64) {
            prefetch_line(core::ptr::from_ref(what).cast::<u8>().wrapping_add(offset));
        }
    }

    fn breathe() {
        // SAFETY: May be called where one may sleep, which is where the core calls this.
        unsafe { bindings::mutex_yield() };
    }
}

/// Asks the processor for the cache line at an address, which may be any.
#[inline(always)]
pub(super) fn prefetch_line(address: *const u8) {
    // SAFETY: A prefetch changes no register, flag or memory, and never faults.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!(
            "prefetcht0 [{}]",
            in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!(
            "prfm pldl1keep, [{}]",
            in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
    }
}
