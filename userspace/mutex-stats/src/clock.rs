// SPDX-License-Identifier: MIT OR Apache-2.0

//! The time, from where it can be given.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Tells the time in two ways: when something happened, and how long ago that was.
pub trait Clock: Send + Sync {
    /// Nanoseconds of Unix time. It can be set, so it jumps: nothing may be measured with it.
    fn unix_ns(&self) -> u64;

    /// Since a moment that stays the same; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn unix_ns(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        BEGIN.elapsed()
    }
}

/// A clock that stands still until it is moved, for tests.
#[derive(Debug)]
pub struct ManualClock {
    unix_ns: AtomicU64,
    monotonic_ns: AtomicU64,
}

impl ManualClock {
    /// A clock that shows this many nanoseconds of Unix time.
    #[must_use]
    pub fn new(unix_ns: u64) -> Self {
        ManualClock { unix_ns: AtomicU64::new(unix_ns), monotonic_ns: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.monotonic_ns.fetch_add(by, SeqCst);
        self.unix_ns.fetch_add(by, SeqCst);
    }

    /// Sets Unix time, as an administrator does; no time passes.
    pub fn set(&self, unix_ns: u64) {
        self.unix_ns.store(unix_ns, SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_ns(&self) -> u64 {
        self.unix_ns.load(SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.load(SeqCst))
    }
}
