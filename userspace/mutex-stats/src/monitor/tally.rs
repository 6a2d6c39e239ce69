// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many have begun, are done, and have failed. `tests/models` tries it in every order.

use mutex_core::sync::atomic::AtomicU64;
use mutex_core::sync::atomic::Ordering::Acquire;
use mutex_core::sync::atomic::Ordering::Relaxed;
use mutex_core::sync::atomic::Ordering::Release;

/// Counts without a lock. Whoever looks sees at most as many done as begun, and at most as many failed
/// as done, if each is said to have begun before it is done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    /// Those begun and not done, by itself: two counters that are read one after the other differ by what
    /// comes and goes in between. Below zero, in two's complement, if ends come without beginnings.
    under_way: AtomicU64,
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) begun: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) under_way: u64,
}

impl Tally {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, has_failed: bool) {
        self.under_way.fetch_sub(1, Relaxed);
        // Who sees that it is done sees that it has begun.
        self.done.fetch_add(1, Release);
        if has_failed {
            // Who sees that it has failed sees that it is done.
            self.failed.fetch_add(1, Release);
        }
    }

    pub(crate) fn copy(&self) -> Counted {
        // The other way round than they are counted.
        let failed = self.failed.load(Acquire);
        let done = self.done.load(Acquire);
        let begun = self.begun.load(Relaxed);
        let under_way = Some(self.under_way.load(Relaxed)).filter(|count| count >> 63 == 0);
        Counted { begun, done, failed, under_way: under_way.unwrap_or(0) }
    }
}
