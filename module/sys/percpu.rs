// SPDX-License-Identifier: GPL-2.0-only

//! Each CPU's own counters, and being pinned to a CPU.

use core::marker::PhantomData;
use core::ptr::NonNull;

use kernel::prelude::*;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::engine::Cpus;

use super::bindings;

/// A [`Cpu`] for each possible CPU.
///
/// # Invariants
///
/// `areas` was allocated by `mutex_percpu_allocate` with the size and alignment of [`Cpu`] and is
/// owned by this.
pub(crate) struct PerCpu {
    areas: NonNull<c_void>,
}

// SAFETY: `Cpu` consists of atomics; which CPU writes which is a matter of exactness, not of safety.
unsafe impl Send for PerCpu {}
// SAFETY: As above.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    /// Counters at zero.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: May be called in process context with any size that fits a per-CPU chunk; larger
        // ones fail.
        let areas = unsafe {
            bindings::mutex_percpu_allocate(size_of::<Cpu>() as u64, align_of::<Cpu>() as u64)
        };
        // INVARIANT: Just allocated so.
        Ok(PerCpu { areas: NonNull::new(areas).ok_or(ENOMEM)? })
    }

    /// Keeps everything else off this CPU until the guard is dropped.
    pub(crate) fn pin(&self) -> PinnedCpu<'_> {
        // SAFETY: May be called in process context and in bottom halves; undone by the guard's drop.
        unsafe { bindings::mutex_pin() };
        // SAFETY: Just pinned, and unpinned when the guard goes.
        PinnedCpu { cpu: unsafe { self.this() }, _here: PhantomData }
    }

    /// All of them, for C.
    pub(super) fn areas(&self) -> *mut c_void {
        self.areas.as_ptr()
    }

    /// This CPU's.
    ///
    /// # Safety
    ///
    /// The caller is pinned while it uses what it gets as this CPU's.
    pub(super) unsafe fn this(&self) -> &Cpu {
        // SAFETY: By the type's invariant the area is a `Cpu`, all zero at first, which is a value of
        // it, and lives as long as `self`.
        unsafe { &*bindings::mutex_percpu_this(self.areas.as_ptr()).cast::<Cpu>() }
    }
}

impl Cpus for PerCpu {
    fn for_each(&self, mut show: impl FnMut(&Cpu)) {
        let mut last = -1;
        loop {
            // SAFETY: Takes any number.
            last = unsafe { bindings::mutex_percpu_next(last) };
            let Ok(cpu) = u32::try_from(last) else {
                return;
            };
            // SAFETY: `cpu` is possible, so it has an area, which is a `Cpu` by the type's invariant
            // and lives as long as `self`.
            show(unsafe { &*bindings::mutex_percpu_of(self.areas.as_ptr(), cpu).cast::<Cpu>() });
        }
    }

    fn bytes(&self) -> usize {
        let mut count = 0;
        self.for_each(|_| count += 1);
        count * size_of::<Cpu>()
    }
}

impl Drop for PerCpu {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant; nobody borrows an area any more.
        unsafe { bindings::mutex_percpu_free(self.areas.as_ptr()) };
    }
}

/// Nothing else runs on this CPU but hard interrupts.
pub(crate) struct PinnedCpu<'a> {
    cpu: &'a Cpu,
    /// It is of use on the CPU that made it only.
    _here: PhantomData<*mut ()>,
}

impl Pinned for PinnedCpu<'_> {
    fn cpu(&self) -> &Cpu {
        self.cpu
    }
}

impl Drop for PinnedCpu<'_> {
    fn drop(&mut self) {
        // SAFETY: Pairs with the pinning that made the guard, on the same CPU.
        unsafe { bindings::mutex_unpin() };
    }
}
