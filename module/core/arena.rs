// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! A fixed number of records, handed out and taken back without a lock.

use core::ops::Deref;

use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;

/// A record that can stand in one list at a time.
pub trait Linked {
    /// The number of the next record in the list plus one; 0 ends it.
    fn next(&self) -> &AtomicU32;
}

/// The records and which of them are free.
///
/// The free list is a stack. Its head carries a tag that changes with every change, so that a
/// record that was taken and given back meanwhile is noticed. Records that were never used are not
/// in it: memory is first touched when it is first needed.
#[derive(Debug)]
pub struct Arena<A> {
    records: A,
    size: u32,
    free: AtomicU64,
    fresh: AtomicU32,
    used: AtomicU32,
    high_water: AtomicU32,
}

impl<T: Linked, A: Deref<Target = [T]>> Arena<A> {
    /// All of `records` are free; they number less than `u32::MAX`.
    pub fn new(records: A) -> Self {
        let size = records.len().min(u32::MAX as usize - 1) as u32;
        Arena {
            records,
            size,
            free: AtomicU64::new(0),
            fresh: AtomicU32::new(0),
            used: AtomicU32::new(0),
            high_water: AtomicU32::new(0),
        }
    }

    /// The record of that number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&T> {
        self.records.get(number as usize)
    }

    /// All records.
    pub fn records(&self) -> &[T] {
        &self.records
    }

    /// The table that they are in.
    pub fn table(&self) -> &A {
        &self.records
    }

    /// Records from `start` on that were ever used, with their numbers.
    pub fn ever_used<'a>(&'a self, start: u32) -> impl Iterator<Item = (u32, &'a T)>
    where
        T: 'a,
    {
        (start..self.ever_used_end()).filter_map(|number| Some((number, self.get(number)?)))
    }

    /// One more than the largest number that was ever used.
    pub fn ever_used_end(&self) -> u32 {
        self.fresh.load(Acquire).min(self.size)
    }

    /// How many there are.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How many are in use.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// The most that were ever in use.
    pub fn high_water(&self) -> u32 {
        self.high_water.load(Relaxed)
    }

    /// Takes a free record; `None` if there is none.
    pub fn take(&self) -> Option<u32> {
        let number = self.take_freed().or_else(|| self.take_fresh())?;
        let used = self.used.fetch_add(1, Relaxed) + 1;
        self.high_water.fetch_max(used, Relaxed);
        Some(number)
    }

    fn take_freed(&self) -> Option<u32> {
        let mut head = self.free.load(Acquire);
        loop {
            let number = (head as u32).checked_sub(1)?;
            let next = self.get(number)?.next().load(Relaxed);
            match self.free.compare_exchange_weak(head, next_head(head, next), Acquire, Acquire) {
                Ok(_) => return Some(number),
                Err(seen) => head = seen,
            }
        }
    }

    fn take_fresh(&self) -> Option<u32> {
        self.fresh
            .fetch_update(Release, Relaxed, |fresh| (fresh < self.size).then_some(fresh + 1))
            .ok()
    }

    /// Gives a record back. The caller is the only one who still knows it.
    pub fn give_back(&self, number: u32) {
        let Some(record) = self.get(number) else {
            return;
        };
        let mut head = self.free.load(Relaxed);
        loop {
            record.next().store(head as u32, Relaxed);
            match self.free.compare_exchange_weak(
                head,
                next_head(head, number + 1),
                Release,
                Relaxed,
            ) {
                Ok(_) => break,
                Err(seen) => head = seen,
            }
        }
        self.used.fetch_sub(1, Relaxed);
    }
}

#[inline]
fn next_head(head: u64, link: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | u64::from(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::prelude::v1::*;

    #[derive(Default)]
    struct Link(AtomicU32);

    impl Linked for Link {
        fn next(&self) -> &AtomicU32 {
            &self.0
        }
    }

    fn arena(size: usize) -> Arena<Vec<Link>> {
        Arena::new(std::iter::repeat_with(Link::default).take(size).collect())
    }

    #[test]
    fn hands_out_each_record_once_and_then_none() {
        let arena = arena(100);
        let taken: BTreeSet<u32> = std::iter::from_fn(|| arena.take()).collect();
        assert_eq!(taken, (0..100).collect());
        assert_eq!((arena.used(), arena.high_water()), (100, 100));
        taken.iter().for_each(|&number| arena.give_back(number));
        assert_eq!((arena.used(), arena.high_water()), (0, 100));
        assert_eq!(std::iter::from_fn(|| arena.take()).count(), 100);
    }

    #[test]
    fn no_record_is_out_twice_under_threads() {
        let arena = arena(64);
        let owners: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default).take(64).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..50_000 {
                        let mine: Vec<u32> = (0..round % 20).filter_map(|_| arena.take()).collect();
                        for &number in &mine {
                            assert_eq!(owners[number as usize].fetch_add(1, Relaxed), 0);
                        }
                        for &number in &mine {
                            owners[number as usize].fetch_sub(1, Relaxed);
                            arena.give_back(number);
                        }
                    }
                });
            }
        });
        assert_eq!(arena.used(), 0);
    }
}
