// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! A hash index of record numbers: look-ups take no lock, changes take one bucket's.

use core::ops::Deref;

use crate::cpu::Pinned;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;
use crate::sync::hint::spin_loop;

/// Slots of a bucket: what a cache line of 64 bytes holds beside the lock.
const SLOTS: usize = 7;

/// Buckets in a row that may hold an entry. With [`ENTRIES`] in each on average, one entry in 50
/// is not at home, and with each bucket further from it there are less than a third: half a dozen
/// buckets hold all of a million, and 32 all that will ever be.
const PROBES: usize = 32;

/// Entries for each bucket when all records are in use. Fuller rows of buckets grow together: at
/// four fifths of the slots one in 5000 has 16 full buckets in front of it.
const ENTRIES: usize = 4;

/// One cache line of the index.
///
/// An entry is the upper half of its hash (the tag) and its record's number plus one; 0 is empty.
/// Entries whose hash names this bucket (their home) are changed under this bucket's lock wherever
/// they stand, so that no key can be inserted twice. A slot is claimed by compare and exchange,
/// because neighbours put their overflow here under locks of their own.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Bucket {
    lock: AtomicU32,
    /// How many entries at home here stand in later buckets.
    overflow: AtomicU32,
    slots: [AtomicU64; SLOTS],
}

/// How many buckets an index of up to `records` entries needs: a power of two.
pub fn buckets_for(records: u32) -> usize {
    (records as usize).div_ceil(ENTRIES).next_power_of_two()
}

/// The index.
#[derive(Debug)]
pub struct Index<B> {
    buckets: B,
    mask: usize,
}

#[inline]
fn entry(hash: u64, record: u32) -> u64 {
    hash & 0xffff_ffff_0000_0000 | (u64::from(record) + 1)
}

/// The record that `entry` names if its tag is that of `hash`.
#[inline]
fn candidate(entry: u64, hash: u64) -> Option<u32> {
    let number = entry as u32;
    if number != 0 && (entry ^ hash) >> 32 == 0 {
        Some(number - 1)
    } else {
        None
    }
}

impl<B: Deref<Target = [Bucket]>> Index<B> {
    /// Takes empty buckets, as many as [`buckets_for`] says; another number than a power of two
    /// gives `None`.
    pub fn new(buckets: B) -> Option<Self> {
        if !buckets.len().is_power_of_two() {
            return None;
        }
        let mask = buckets.len() - 1;
        Some(Index { buckets, mask })
    }

    /// Bytes that the buckets take.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    #[inline]
    fn bucket(&self, hash: u64, probe: usize) -> Option<&Bucket> {
        self.buckets.get((hash as usize).wrapping_add(probe) & self.mask)
    }

    /// Buckets that an entry with that hash may stand in, its home first.
    #[inline]
    fn reach(&self, hash: u64) -> impl Iterator<Item = &Bucket> {
        (0..PROBES.min(self.mask + 1)).filter_map(move |probe| self.bucket(hash, probe))
    }

    /// The record that stands under `hash` if the tags tell the truth and it is at home, which it nearly
    /// always is. If it is not the one, [`Index::find`] knows.
    ///
    /// The caller is inside an RCU read side, so that a record found cannot become another one
    /// before it is done.
    #[inline(always)]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        let home = self.bucket(hash, 0)?;
        // Which slot it is cannot be foreseen, so all are looked at without a branch.
        let mut likely = 0;
        for slot in &home.slots {
            let entry = slot.load(Acquire);
            likely = if (entry ^ hash) >> 32 == 0 && entry as u32 != 0 { entry } else { likely };
        }
        (likely as u32).checked_sub(1)
    }

    /// What `recognise` makes of the record under `hash` that it recognises.
    ///
    /// The caller is inside an RCU read side, as for [`Index::likely`].
    #[inline]
    pub fn find<T>(&self, hash: u64, mut recognise: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let home = self.bucket(hash, 0)?;
        let mut seek = |bucket: &Bucket| {
            let mut candidates =
                bucket.slots.iter().filter_map(|slot| candidate(slot.load(Acquire), hash));
            candidates.find_map(&mut recognise)
        };
        let found = seek(home);
        if found.is_some() || home.overflow.load(Acquire) == 0 {
            return found;
        }
        self.reach(hash).skip(1).find_map(seek)
    }

    /// Locks the home of `hash`.
    #[inline]
    pub fn lock<'a>(&'a self, _context: &impl Pinned, hash: u64) -> Option<Locked<'a, B>> {
        let home = self.bucket(hash, 0)?;
        while home.lock.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            spin_loop();
        }
        Some(Locked { index: self, home, hash })
    }
}

/// The home of a hash, locked: entries with that hash neither come nor go but through this.
pub struct Locked<'a, B: Deref<Target = [Bucket]>> {
    index: &'a Index<B>,
    home: &'a Bucket,
    hash: u64,
}

impl<B: Deref<Target = [Bucket]>> Locked<'_, B> {
    /// See [`Index::find`].
    pub fn find<T>(&self, recognise: impl FnMut(u32) -> Option<T>) -> Option<T> {
        self.index.find(self.hash, recognise)
    }

    /// Publishes `record`; false if every bucket in reach is full.
    pub fn insert(&self, record: u32) -> bool {
        let new = entry(self.hash, record);
        for (probe, bucket) in self.index.reach(self.hash).enumerate() {
            for slot in &bucket.slots {
                if slot.load(Relaxed) != 0 {
                    continue;
                }
                // Who looks up must not pass over the overflow while the entry is already there.
                if probe > 0 {
                    self.home.overflow.fetch_add(1, Relaxed);
                }
                if slot.compare_exchange(0, new, Release, Relaxed).is_ok() {
                    return true;
                }
                if probe > 0 {
                    self.home.overflow.fetch_sub(1, Relaxed);
                }
            }
        }
        false
    }

    fn slot_of(&self, record: u32) -> Option<(usize, &AtomicU64)> {
        let wanted = entry(self.hash, record);
        self.index.reach(self.hash).enumerate().find_map(|(probe, bucket)| {
            let slot = bucket.slots.iter().find(|slot| slot.load(Relaxed) == wanted)?;
            Some((probe, slot))
        })
    }

    /// Puts `new` in the place of `old`; false if `old` is not there.
    pub fn replace(&self, old: u32, new: u32) -> bool {
        match self.slot_of(old) {
            Some((_, slot)) => {
                slot.store(entry(self.hash, new), Release);
                true
            }
            None => false,
        }
    }

    /// Takes `record` out; false if it is not there.
    pub fn remove(&self, record: u32) -> bool {
        match self.slot_of(record) {
            Some((probe, slot)) => {
                slot.store(0, Release);
                if probe > 0 {
                    self.home.overflow.fetch_sub(1, Relaxed);
                }
                true
            }
            None => false,
        }
    }
}

impl<B: Deref<Target = [Bucket]>> Drop for Locked<'_, B> {
    fn drop(&mut self) {
        self.home.lock.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cpus;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::prelude::v1::*;

    fn index(buckets: usize) -> Index<Vec<Bucket>> {
        let buckets = std::iter::repeat_with(Bucket::default).take(buckets).collect();
        Index::new(buckets).expect("a power of two")
    }

    #[test]
    fn buckets_are_a_power_of_two_with_four_entries_at_most() {
        for records in [1, 7, 1000, 5600, 5601, 65536, 1 << 20, u32::MAX] {
            let buckets = buckets_for(records);
            assert!(buckets.is_power_of_two());
            assert!(records as usize <= buckets * ENTRIES, "{records}");
        }
    }

    #[test]
    fn each_of_the_records_finds_a_slot_near_its_home() {
        // As full as an index gets.
        const RECORDS: u32 = 1 << 18;
        let (index, cpus) = (index(buckets_for(RECORDS)), Cpus::new(1));
        let pinned = cpus.pin(0);
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for record in 0..RECORDS {
            // xorshift64*.
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            let hash = random.wrapping_mul(0x2545_f491_4f6c_dd1d);
            let locked = index.lock(&pinned, hash).expect("a bucket");
            assert!(locked.insert(record), "{record} of {RECORDS}");
            let (probe, _) = locked.slot_of(record).expect("it was inserted");
            assert!(probe < PROBES / 2, "{record} is {probe} buckets from its home");
        }
    }

    proptest! {
        /// Few hashes, so that buckets overflow into one another all the time.
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((0u64..24, any::<bool>()), 1..400)) {
            let (index, cpus) = (index(4), Cpus::new(1));
            let mut model = BTreeMap::new();
            for (number, (hash, add)) in (0u32..).zip(steps) {
                let pinned = cpus.pin(0);
                let locked = index.lock(&pinned, hash).expect("a bucket");
                let present = model.get(&hash).copied();
                prop_assert_eq!(locked.find(|record| (Some(record) == present).then_some(record)), present);
                match (present, add) {
                    (Some(old), true) => {
                        prop_assert!(locked.replace(old, number));
                        model.insert(hash, number);
                    }
                    (Some(old), false) => {
                        prop_assert!(locked.remove(old));
                        model.remove(&hash);
                    }
                    (None, true) => {
                        prop_assert!(locked.insert(number));
                        model.insert(hash, number);
                    }
                    (None, false) => prop_assert!(!locked.remove(number)),
                }
                drop(locked);
                for (&hash, &record) in &model {
                    prop_assert_eq!(index.find(hash, |found| (found == record).then_some(found)), Some(record));
                }
            }
        }
    }

    #[test]
    fn a_full_index_says_so_and_keeps_what_it_has() {
        let (index, cpus) = (index(2), Cpus::new(1));
        let pinned = cpus.pin(0);
        let inserted = (0..100)
            .take_while(|&record| index.lock(&pinned, 0).expect("a bucket").insert(record))
            .count();
        assert_eq!(inserted, 2 * SLOTS);
        for record in 0..inserted as u32 {
            assert_eq!(index.find(0, |found| (found == record).then_some(found)), Some(record));
        }
    }
}
