// SPDX-License-Identifier: GPL-2.0-only

//! Who watches: the open files of `/proc/mutex/events`.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::alarm::System;
use mutex_core::filter::Filter;
use mutex_core::filter::Subject;
use mutex_core::monitor::Monitor;
use mutex_core::monitor::Offered;
use mutex_core::monitor::Queue;
use mutex_core::monitor::Slot;

use crate::sys::host;
use crate::sys::memory::Zeroed;
use crate::sys::netfilter::PacketWatch;
use crate::sys::probes;
use crate::sys::proc;
use crate::sys::rcu::Places;

/// Files that may be open at once.
pub(crate) const WATCHERS_MAX: usize = 64;

/// Who opened a file.
#[derive(Clone)]
pub(crate) struct Opener {
    pub(crate) id: u64,
    pub(crate) process: host::Process,
    /// Inode number of its network namespace, and whether it is the only one that may be seen.
    pub(crate) netns: u32,
    pub(crate) confined: bool,
    /// Unix time.
    pub(crate) opened_ns: u64,
}

/// A monitor with whose it is. Another filter makes another one with the same queue.
pub(crate) struct Watcher {
    pub(crate) opener: Opener,
    pub(crate) monitor: KBox<Monitor<Arc<Queue<Zeroed<Slot>>>>>,
}

impl Watcher {
    /// One that gets what the empty filter lets through, and holds so many events.
    pub(crate) fn new(opener: Opener, slots: usize) -> Result<Self> {
        let queue = Queue::new(Zeroed::new(slots)?).ok_or(EINVAL)?;
        let monitor = KBox::new(Monitor::new(Arc::new(queue, GFP_KERNEL)?), GFP_KERNEL)?;
        Ok(Watcher { opener, monitor })
    }

    /// The same with another filter.
    pub(crate) fn renewed(&self, filter: Filter) -> Result<Self> {
        let monitor = KBox::new(self.monitor.renewed(filter), GFP_KERNEL)?;
        Ok(Watcher { opener: self.opener.clone(), monitor })
    }

    fn may_see(&self, subject: &Subject) -> bool {
        !self.opener.confined || subject.netns == self.opener.netns
    }
}

/// All of them, and what the engine asks of the kernel.
pub(crate) struct Watchers {
    places: Places<Watcher, WATCHERS_MAX>,
    last_id: AtomicU64,
    /// Of monitors that are closed.
    produced: AtomicU64,
    lost: AtomicU64,
}

impl Watchers {
    /// Nobody.
    pub(crate) fn new() -> Self {
        Watchers {
            places: Places::new(),
            last_id: AtomicU64::new(0),
            produced: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// An id that was never given.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// Lets it watch from now on; gives its place.
    pub(crate) fn add(&self, watcher: Arc<Watcher>) -> Result<usize> {
        self.places.insert(watcher).ok_or(EBUSY)
    }

    /// Puts another in its place. May sleep.
    pub(crate) fn replace(&self, place: usize, watcher: Arc<Watcher>) {
        self.places.replace(place, watcher);
    }

    /// Lets it go. May sleep.
    pub(crate) fn remove(&self, place: usize) {
        let watcher = self.places.get(place);
        self.places.remove(place);
        if let Some(watcher) = watcher {
            let counts = watcher.monitor.counts();
            self.produced.fetch_add(counts.produced, Relaxed);
            self.lost.fetch_add(counts.lost, Relaxed);
        }
    }

    /// The watcher in that place.
    pub(crate) fn get(&self, place: usize) -> Option<Arc<Watcher>> {
        self.places.get(place)
    }
}

impl System for Watchers {
    fn offset(&self) -> u64 {
        host::moment().offset()
    }

    #[inline]
    fn is_watched(&self) -> bool {
        !self.places.is_empty()
    }

    fn offer(&self, subject: &Subject, time_ns: u64, record: impl Fn(&mut [u8]) -> usize) {
        let mut queued = false;
        self.places.for_each(|watcher| {
            if watcher.may_see(subject) {
                queued |= watcher.monitor.offer(subject, time_ns, &record) == Offered::Queued;
            }
        });
        if queued {
            self.wake();
        }
    }

    fn listen_overflow(&self) -> u32 {
        probes::listen_overflow()
    }

    fn reader_pid(&self, pid: u32) -> u32 {
        host::reader_pid(pid)
    }

    fn wake(&self) {
        proc::wake();
    }

    fn drop_name(&self, reason: u32) -> [u8; 32] {
        probes::drop_name(reason).unwrap_or_default()
    }

    fn watchers(&self) -> (u64, u64, u64) {
        let mut sums =
            (self.places.taken() as u64, self.produced.load(Relaxed), self.lost.load(Relaxed));
        self.places.for_each(|watcher| {
            let counts = watcher.monitor.counts();
            sums.1 += counts.produced;
            sums.2 += counts.lost;
        });
        sums
    }

    fn packet_watchers(&self) -> u64 {
        PacketWatch::count()
    }
}
