// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The ring of alerts.
//!
//! Alerts are numbered from 1 on without gaps, and the latest ones are kept: number `n` is in slot
//! `n % size` until number `n + size` takes its place. So a reader that knows where it has stopped
//! can name every alert that it missed.

use core::ops::Deref;

use crate::abi::mutex_alert;
use crate::cpu::Pinned;
use crate::seqlock::SeqLock;
use crate::sync::atomic::fence;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;
use crate::sync::hint::spin_loop;
use crate::wire::Wire;

/// Words of an alert. A model looks at the first few.
const WORDS: usize = if cfg!(loom) { 3 } else { mutex_alert::SIZE / size_of::<u64>() };

const _: () = assert!(mutex_alert::SIZE % size_of::<u64>() == 0);

/// Room for one alert; all zero is empty.
///
/// `sequence` is twice the number of the alert that is in it, and one less while that is being
/// written. It only grows, and a writer waits until its predecessor is through, so a reader that
/// finds it twice its number before and after has the whole alert.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Slot {
    sequence: AtomicU64,
    words: [AtomicU64; WORDS],
}

#[inline]
fn written(number: u64) -> u64 {
    number.wrapping_mul(2)
}

impl Slot {
    /// Puts the alert of that number in the place of number `before`, 0 if there is none.
    fn write(&self, before: u64, number: u64, alert: &mutex_alert) {
        // One that has that number is pinned to another CPU and about to be through.
        while self.sequence.load(Acquire) != written(before) {
            spin_loop();
        }
        // Release, so that who finds its alert overwritten also finds that this number was taken.
        self.sequence.store(written(number).wrapping_sub(1), Release);
        // Readers must not see a new word below the old sequence.
        fence(Release);
        let mut bytes = [0; mutex_alert::SIZE];
        alert.put(&mut bytes);
        let mut rest = &bytes[..];
        for word in &self.words {
            let (value, after) = u64::take(rest);
            word.store(value, Relaxed);
            rest = after;
        }
        self.sequence.store(written(number), Release);
    }

    fn read(&self, number: u64) -> Read {
        let sequence = self.sequence.load(Acquire);
        if sequence < written(number) {
            return Read::NotYet;
        }
        let mut bytes = [0; mutex_alert::SIZE];
        let mut rest = &mut bytes[..];
        for word in &self.words {
            let Some(after) = word.load(Relaxed).put(rest) else {
                break;
            };
            rest = after;
        }
        fence(Acquire);
        if self.sequence.load(Acquire) != written(number) {
            return Read::Overwritten;
        }
        Read::Alert(mutex_alert::take(&bytes).0)
    }
}

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// It is kept.
    Alert(mutex_alert),
    /// A newer one has its place.
    Overwritten,
    /// It was cleared.
    Cleared,
    /// It has not been raised, or is just being written.
    NotYet,
}

/// What was cleared.
#[derive(Debug, Default)]
struct Clearing {
    sequence: SeqLock,
    /// The last number that was.
    up_to: AtomicU64,
    /// How many had been overwritten by then.
    overwritten: AtomicU64,
}

/// The ring.
#[derive(Debug)]
pub struct Alerts<S> {
    slots: S,
    last: AtomicU64,
    clearing: Clearing,
}

impl<S: Deref<Target = [Slot]>> Alerts<S> {
    /// A ring of those slots, all empty; `None` if there is not even one.
    pub fn new(slots: S) -> Option<Self> {
        if slots.is_empty() {
            return None;
        }
        Some(Alerts { slots, last: AtomicU64::new(0), clearing: Clearing::default() })
    }

    /// How many alerts are kept.
    #[inline]
    pub fn size(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Bytes of the ring.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        self.slots.get(number.checked_rem(self.size())? as usize)
    }

    /// Keeps an alert under the next number, whatever its own, and returns that.
    pub fn raise(&self, _pinned: &impl Pinned, alert: &mutex_alert) -> u64 {
        let number = self.last.fetch_add(1, Relaxed).wrapping_add(1);
        if let Some(slot) = self.slot(number) {
            let before = number.saturating_sub(self.size());
            slot.write(before, number, &mutex_alert { number, ..*alert });
        }
        number
    }

    /// The alert of that number.
    ///
    /// Numbers are taken before they are written, so the latest can be [`Read::NotYet`] for a
    /// moment, even below others that can be read. A reader that follows goes no further than that
    /// and comes back. Number 0, which no alert has, is cleared from the beginning.
    pub fn read(&self, number: u64) -> Read {
        if number <= self.clearing.up_to.load(Relaxed) {
            return Read::Cleared;
        }
        if number > self.last() {
            return Read::NotYet;
        }
        self.slot(number).map_or(Read::Overwritten, |slot| slot.read(number))
    }

    /// The number of the latest alert, 0 if there was none.
    #[inline]
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    /// The smallest number that can still be read; one more than [`Alerts::last`] if none can.
    pub fn first_kept(&self) -> u64 {
        let cleared = self.clearing.up_to.load(Relaxed);
        self.last().saturating_sub(self.size()).max(cleared).wrapping_add(1)
    }

    /// How many there were, cleared and overwritten ones included.
    pub fn raised(&self) -> u64 {
        self.last()
    }

    /// How many nobody can read any more because newer ones took their places. Those that were
    /// cleared before that do not count.
    pub fn overwritten(&self) -> u64 {
        self.clearing.sequence.read(|| self.overwritten_at(self.last()))
    }

    /// How many are overwritten once `last` is the latest.
    fn overwritten_at(&self, last: u64) -> u64 {
        let cleared = self.clearing.up_to.load(Relaxed);
        let since_then = last.saturating_sub(self.size()).saturating_sub(cleared);
        self.clearing.overwritten.load(Relaxed).wrapping_add(since_then)
    }

    /// Hides all alerts up to now. Numbers go on.
    pub fn clear(&self, _pinned: &impl Pinned) {
        let clearing = &self.clearing;
        let writing = clearing.sequence.write();
        // Not a load, which could give less than a reader has seen already. Numbers that are taken after this
        // show their readers that somebody is clearing, so they look again.
        let last = self.last.fetch_add(0, Relaxed);
        clearing.overwritten.store(self.overwritten_at(last), Relaxed);
        clearing.up_to.store(last, Relaxed);
        drop(writing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cpus;
    use std::prelude::v1::*;
    use std::sync::atomic::AtomicBool;

    fn ring(size: usize) -> Alerts<Vec<Slot>> {
        let slots = std::iter::repeat_with(Slot::default).take(size).collect();
        Alerts::new(slots).expect("there are slots")
    }

    /// An alert all of whose fields come from one number.
    fn alert(seed: u64) -> mutex_alert {
        let byte = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7];
        mutex_alert {
            number: 0,
            time_ns: seed,
            subject: seed.wrapping_mul(3),
            threshold: !seed,
            value: seed.rotate_left(17),
            local_address: [byte; 16],
            remote_address: [!byte; 16],
            local_port: seed as u16,
            remote_port: !seed as u16,
            netns: seed as u32,
            pid: !seed as u32,
            kind: byte,
            severity: byte,
            scope: byte,
            family: byte,
            protocol: byte,
            reserved: [byte; 7],
            command: [byte; 16],
        }
    }

    fn is_intact(read: &mutex_alert, number: u64) -> bool {
        *read == mutex_alert { number, ..alert(read.time_ns) }
    }

    #[test]
    fn the_latest_are_kept() {
        let (cpus, ring) = (Cpus::new(1), ring(3));
        assert_eq!((ring.first_kept(), ring.last(), ring.overwritten()), (1, 0, 0));
        assert_eq!(ring.read(1), Read::NotYet);
        for number in 1..=5 {
            assert_eq!(ring.raise(&cpus.pin(0), &alert(number)), number);
        }
        assert_eq!((ring.first_kept(), ring.last(), ring.overwritten()), (3, 5, 2));
        assert_eq!([1, 2].map(|number| ring.read(number)), [Read::Overwritten; 2]);
        for number in 3..=5 {
            assert_eq!(ring.read(number), Read::Alert(mutex_alert { number, ..alert(number) }));
        }
        assert_eq!([6, u64::MAX].map(|number| ring.read(number)), [Read::NotYet; 2]);
        assert_eq!(ring.read(0), Read::Cleared);
        assert!(Alerts::new(Vec::new()).is_none());
    }

    #[test]
    fn what_is_cleared_is_hidden_but_not_lost() {
        let (cpus, ring) = (Cpus::new(1), ring(3));
        ring.clear(&cpus.pin(0));
        let raise =
            |from, to| (from..=to).for_each(|n| assert_eq!(ring.raise(&cpus.pin(0), &alert(n)), n));
        raise(1, 5);
        ring.clear(&cpus.pin(0));
        assert_eq!((ring.first_kept(), ring.last(), ring.overwritten()), (6, 5, 2));
        assert_eq!([1, 5, 6].map(|n| ring.read(n)), [Read::Cleared, Read::Cleared, Read::NotYet]);
        raise(6, 8);
        assert_eq!((ring.first_kept(), ring.overwritten()), (6, 2));
        raise(9, 10);
        assert_eq!((ring.first_kept(), ring.overwritten()), (8, 4));
        assert_eq!([5, 7].map(|number| ring.read(number)), [Read::Cleared, Read::Overwritten]);
        ring.clear(&cpus.pin(0));
        ring.clear(&cpus.pin(0));
        assert_eq!((ring.raised(), ring.overwritten(), ring.first_kept()), (10, 4, 11));
    }

    #[test]
    fn a_ring_of_one_keeps_the_last() {
        let (cpus, ring) = (Cpus::new(2), ring(1));
        std::thread::scope(|scope| {
            for cpu in 0..2 {
                let (cpus, ring) = (&cpus, &ring);
                scope.spawn(move || {
                    for seed in 0..500 {
                        ring.raise(&cpus.pin(cpu), &alert(seed));
                        std::thread::yield_now();
                    }
                });
            }
        });
        assert_eq!((ring.first_kept(), ring.last(), ring.overwritten()), (1000, 1000, 999));
        assert!(matches!(ring.read(1000), Read::Alert(read) if is_intact(&read, 1000)));
    }

    /// Follows the ring from its beginning, and returns how many alerts it read and missed.
    fn follow(ring: &Alerts<Vec<Slot>>, done: &AtomicBool) -> (u64, u64) {
        let (mut read, mut missed, mut next) = (0, 0, 1);
        loop {
            let finished = done.load(Acquire);
            match ring.read(next) {
                Read::Alert(alert) => {
                    assert!(is_intact(&alert, next), "{alert:?}");
                    read += 1;
                    next += 1;
                }
                Read::Overwritten => {
                    let first = ring.first_kept();
                    assert!(first > next);
                    missed += first - next;
                    next = first;
                }
                Read::Cleared => unreachable!("nobody clears"),
                Read::NotYet if finished => return (read, missed),
                Read::NotYet => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn many_raise_and_some_follow() {
        const THREADS: u64 = 8;
        const EACH: u64 = 20_000;
        let (cpus, ring) = (Cpus::new(THREADS as usize), ring(1000));
        let done = AtomicBool::new(false);
        let numbers = std::thread::scope(|scope| {
            let (cpus, ring, done) = (&cpus, &ring, &done);
            let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| follow(ring, done))).collect();
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn(move || {
                        let raise = |seed| ring.raise(&cpus.pin(thread as usize), &alert(seed));
                        (thread * EACH..(thread + 1) * EACH).map(raise).collect::<Vec<_>>()
                    })
                })
                .collect();
            let raised = writers.into_iter().flat_map(|writer| writer.join().expect("no panic"));
            let mut numbers: Vec<_> = raised.collect();
            done.store(true, Release);
            for reader in readers {
                let (read, missed) = reader.join().expect("no panic");
                assert_eq!(read + missed, THREADS * EACH);
                assert!(read >= 1000);
            }
            numbers.sort_unstable();
            numbers
        });
        assert!(numbers.into_iter().eq(1..=THREADS * EACH));
        assert_eq!(ring.raised(), THREADS * EACH);
        assert_eq!(ring.overwritten(), THREADS * EACH - 1000);
        let seeds = (ring.first_kept()..=ring.last()).map(|number| match ring.read(number) {
            Read::Alert(alert) => alert.time_ns,
            other => unreachable!("{number} is {other:?}"),
        });
        let distinct: std::collections::BTreeSet<_> = seeds.collect();
        assert_eq!(distinct.len(), 1000);
    }

    #[test]
    fn clearing_under_way_never_lets_the_sums_go_back() {
        const EACH: u64 = 20_000;
        let (cpus, ring) = (Cpus::new(4), ring(16));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (cpus, ring, done) = (&cpus, &ring, &done);
            scope.spawn(|| {
                let mut before = 0;
                while !done.load(Relaxed) {
                    let now = ring.overwritten();
                    assert!(now >= before && now <= ring.raised());
                    before = now;
                }
            });
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    ring.clear(&cpus.pin(3));
                    std::thread::yield_now();
                }
            });
            let writers: Vec<_> = (0..2)
                .map(|cpu| {
                    scope.spawn(move || {
                        for seed in 0..EACH {
                            ring.raise(&cpus.pin(cpu), &alert(seed));
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().expect("no panic");
            }
            done.store(true, Relaxed);
        });
        assert_eq!(ring.raised(), 2 * EACH);
    }
}
