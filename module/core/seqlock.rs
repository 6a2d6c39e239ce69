// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! A sequence lock: words that change together, under a reader that never holds anybody up.

use crate::sync::atomic::fence;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;
use crate::sync::hint::spin_loop;

/// A lock and a version at once, beside atomic words that change together.
///
/// The version is odd while a writer is inside. A writer enters by making it odd, so there is one at
/// a time, and a reader that finds it even and unchanged has words of the same moment. The words
/// are read and written relaxed: to enter and to leave is all the order they need.
///
/// Writers run where nothing that writes can interrupt them on their CPU (see
/// [`crate::cpu::Pinned`]), so one that waits does so for a handful of instructions on another CPU,
/// never for a sleeper.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct SeqLock(AtomicU32);

/// The only writer, until this is dropped.
#[must_use]
pub struct Writing<'a> {
    version: &'a AtomicU32,
    after: u32,
}

impl SeqLock {
    /// Enters as the only writer.
    #[inline]
    pub fn write(&self) -> Writing<'_> {
        let mut version = self.0.load(Relaxed) & !1;
        while let Err(seen) =
            self.0.compare_exchange_weak(version, version.wrapping_add(1), Acquire, Relaxed)
        {
            spin_loop();
            version = seen & !1;
        }
        // Readers must not see a new word below an even old version.
        fence(Release);
        Writing { version: &self.0, after: version.wrapping_add(2) }
    }

    /// What `copy` gives while no writer is inside. It is called until that is so.
    #[inline]
    pub fn read<T>(&self, mut copy: impl FnMut() -> T) -> T {
        loop {
            let before = self.0.load(Acquire);
            if before & 1 == 0 {
                let copied = copy();
                fence(Acquire);
                if self.0.load(Relaxed) == before {
                    return copied;
                }
            }
            spin_loop();
        }
    }
}

impl Drop for Writing<'_> {
    #[inline]
    fn drop(&mut self) {
        self.version.store(self.after, Release);
    }
}
