// SPDX-License-Identifier: GPL-2.0-only

//! Work that is done again and again.

use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;

use super::bindings;

/// What is to be done.
pub(crate) trait Recurring: Send + Sync {
    /// Does it, in process context, and says after how many milliseconds to come again.
    fn run(&self) -> u32;
}

/// The work; it stops when this is dropped.
///
/// # Invariants
///
/// The kernel calls with a pointer to what `_what` keeps alive.
pub(crate) struct Work<T: Recurring> {
    _what: Arc<T>,
}

impl<T: Recurring> Work<T> {
    /// Starts it at once. There is one such value at a time.
    pub(crate) fn start(what: Arc<T>) -> Result<Self> {
        let context = Arc::as_ptr(&what);
        // SAFETY: `context` stays valid until the work has stopped, because the value that is made
        // keeps it alive and stops the work first.
        to_result(unsafe { bindings::mutex_work_start(Some(run::<T>), context as *mut c_void) })?;
        // INVARIANT: `context` points into `what`.
        Ok(Work { _what: what })
    }
}

impl<T: Recurring> Drop for Work<T> {
    fn drop(&mut self) {
        // SAFETY: Started when this was made.
        unsafe { bindings::mutex_work_stop() };
    }
}

/// # Safety
///
/// Called by the kernel's work, with the context that `Work` started it with.
unsafe extern "C" fn run<T: Recurring>(context: *mut c_void) -> u32 {
    // SAFETY: By the invariant of `Work` this points to a living `T`.
    unsafe { &*context.cast::<T>() }.run()
}
