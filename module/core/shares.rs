// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! How many records of the connection table each network namespace uses, and how many it may.
//!
//! A record is charged to its namespace from the moment it is taken until it is free again. The
//! table of counts is looked at then only, never by a packet whose connection is known. The first
//! namespace is not charged: it may use all that others do not, and a part that they never get.
//!
//! Counts are in sets of slots; a namespace has one slot, in the set that its hash names, for as
//! long as it uses records. Where a set is full, its further namespaces are charged to one slot that
//! all of these share, so a host with more namespaces than slots still bounds each of them.

use core::ops::Deref;

use crate::cpu::Pinned;
use crate::seqlock::SeqLock;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::AcqRel;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;

/// Slots of a set: they fill a cache line.
const WAYS: usize = 8;

/// A prime, so that numbers that follow one another are spread evenly.
const SETS: usize = 127;

/// How many slots there are: one more than those of the sets, the last one.
pub const SLOTS: usize = SETS * WAYS + 1;

const SHARED: usize = SETS * WAYS;

const _: () = assert!(SLOTS <= Share::MAX as usize);

/// A namespace's inode number in the upper half, the records that it uses in the lower; 0 is free.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Slot(AtomicU64);

const USED: u64 = u32::MAX as u64;

fn netns_of(word: u64) -> u32 {
    (word >> 32) as u32
}

fn used_of(word: u64) -> u32 {
    (word & USED) as u32
}

/// Where a record is charged: the slot's number plus one, or nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u16);

impl Share {
    /// Bits that a share takes.
    pub const BITS: u32 = 10;

    const MAX: u16 = (1 << Self::BITS) - 1;

    /// Of the first namespace.
    pub const NONE: Share = Share(0);

    /// For [`Share::number`].
    #[inline]
    pub(crate) fn from_number(number: u32) -> Self {
        Share((number as u16) & Self::MAX)
    }

    /// Less than 2 to the power of [`Share::BITS`].
    #[inline]
    pub(crate) fn number(self) -> u32 {
        self.0.into()
    }

    fn of_slot(slot: usize) -> Self {
        Share(slot as u16 + 1)
    }

    fn slot(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }
}

/// What may be used: records of one namespace other than the first, and of all of these together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of each.
    pub each: u32,
    /// Together.
    pub all: u32,
}

impl Limits {
    /// Of a table of `size` records: `each` and `first` are percentages, the first namespace's
    /// share is not for others. One record is everybody's.
    pub fn new(size: u32, each: u64, first: u64) -> Self {
        let part = |percent: u64| (u64::from(size) * percent.min(100) / 100) as u32;
        let all = size - part(first);
        Limits { each: part(each).min(all).max(1), all: all.max(1) }
    }

    /// From how many records on a namespace is short of them.
    fn pressed_from(limit: u32) -> u32 {
        limit - limit / 8
    }
}

/// The counts.
#[derive(Debug)]
pub struct Shares<S> {
    slots: S,
    /// Around every change of the namespace of a slot.
    naming: SeqLock,
    /// Records of all namespaces but the first.
    used: AtomicU64,
    /// The inode number of the first namespace.
    first: u32,
}

impl<S: Deref<Target = [Slot]>> Shares<S> {
    /// Nothing is used; `None` if `slots` are not [`SLOTS`].
    pub fn new(slots: S, first: u32) -> Option<Self> {
        let (naming, used) = (SeqLock::default(), AtomicU64::new(0));
        (slots.len() == SLOTS).then_some(Shares { slots, naming, used, first })
    }

    /// Charges a record to a namespace whose hash that is, if it may use another one.
    pub fn charge(
        &self,
        pinned: &impl Pinned,
        netns: u32,
        hash: u64,
        limits: Limits,
    ) -> Option<Share> {
        if netns == self.first {
            return Some(Share::NONE);
        }
        let all = u64::from(limits.all);
        self.used.fetch_update(Relaxed, Relaxed, |used| (used < all).then_some(used + 1)).ok()?;
        let share = match self.find(netns, hash) {
            Some(slot) => self.take(slot, netns, limits.each),
            None => Err(()),
        };
        let share = match share {
            Ok(share) => share,
            Err(()) => self.name(pinned, netns, hash, limits.each),
        };
        if share.is_none() {
            self.used.fetch_sub(1, Relaxed);
        }
        share
    }

    /// Gives a record back that was charged there.
    pub fn give_back(&self, share: Share) {
        if let Some(slot) = share.slot().and_then(|slot| self.slots.get(slot)) {
            slot.0.fetch_sub(1, AcqRel);
            self.used.fetch_sub(1, Relaxed);
        }
    }

    fn set(hash: u64) -> core::ops::Range<usize> {
        let first = (hash % SETS as u64) as usize * WAYS;
        first..first + WAYS
    }

    fn find(&self, netns: u32, hash: u64) -> Option<usize> {
        let is_it = |slot: &usize| {
            self.slots.get(*slot).is_some_and(|slot| netns_of(slot.0.load(Acquire)) == netns)
        };
        Self::set(hash).find(is_it)
    }

    /// Charges the slot while it is the namespace's; `Err` if it is another's.
    fn take(&self, slot: usize, netns: u32, limit: u32) -> Result<Option<Share>, ()> {
        let Some(word) = self.slots.get(slot) else {
            return Err(());
        };
        let taken = word.0.fetch_update(AcqRel, Acquire, |word| {
            (netns_of(word) == netns && used_of(word) < limit).then_some(word + 1)
        });
        match taken {
            Ok(_) => Ok(Some(Share::of_slot(slot))),
            Err(word) if netns_of(word) == netns => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// Gives the namespace a slot that nobody uses, or charges the shared one.
    #[cold]
    fn name(&self, pinned: &impl Pinned, netns: u32, hash: u64, limit: u32) -> Option<Share> {
        let _ = pinned;
        let naming = self.naming.write();
        // It may have got one meanwhile; none is renamed as long as this is held.
        if let Some(slot) = self.find(netns, hash) {
            return self.take(slot, netns, limit).ok().flatten();
        }
        for slot in Self::set(hash) {
            let Some(word) = self.slots.get(slot) else {
                continue;
            };
            let found = word.0.load(Acquire);
            let named = (u64::from(netns) << 32) | 1;
            // Another CPU may have charged it since.
            if used_of(found) == 0 && word.0.compare_exchange(found, named, AcqRel, Relaxed).is_ok()
            {
                return Some(Share::of_slot(slot));
            }
        }
        drop(naming);
        self.take(SHARED, 0, limit).ok().flatten()
    }

    /// Whether what a record is charged to is nearly used up.
    pub fn is_pressed(&self, share: Share, limits: Limits) -> bool {
        let slot = share.slot().and_then(|slot| self.slots.get(slot));
        slot.is_some_and(|slot| {
            used_of(slot.0.load(Relaxed)) >= Limits::pressed_from(limits.each)
                || self.used() >= Limits::pressed_from(limits.all)
        })
    }

    /// Whether that is so of any.
    pub fn is_any_pressed(&self, limits: Limits) -> bool {
        self.used() >= Limits::pressed_from(limits.all).max(1)
            || self.largest().is_some_and(|(_, used)| used >= Limits::pressed_from(limits.each))
    }

    /// The namespace, other than the first, that uses most records, and how many.
    pub fn largest(&self) -> Option<(u32, u32)> {
        let counts = self.slots.iter().take(SHARED).map(|slot| slot.0.load(Relaxed));
        let largest = counts.max_by_key(|word| used_of(*word))?;
        (used_of(largest) != 0).then_some((netns_of(largest), used_of(largest)))
    }

    /// How many records a namespace uses whose hash that is; `None` of the first, and of one that
    /// shares its slot with others.
    pub fn used_by(&self, netns: u32, hash: u64) -> Option<u32> {
        let slot = self.find(netns, hash)?;
        Some(used_of(self.slots.get(slot)?.0.load(Relaxed)))
    }

    /// Records of all namespaces but the first.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed) as u32
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::Cpus;
    use std::prelude::v1::*;

    const FIRST: u32 = 1;

    fn shares() -> Shares<Vec<Slot>> {
        let slots = std::iter::repeat_with(Slot::default).take(SLOTS).collect();
        Shares::new(slots, FIRST).expect("so many are right")
    }

    /// A hash under which `netns` follow one another.
    fn hash(netns: u32) -> u64 {
        netns.into()
    }

    #[test]
    fn each_namespace_has_its_limit_and_the_first_has_none() {
        let (cpus, shares) = (Cpus::new(1), shares());
        let limits = Limits::new(100, 30, 20);
        assert_eq!(limits, Limits { each: 30, all: 80 });
        let charge = |netns| shares.charge(&cpus.pin(0), netns, hash(netns), limits);
        let taken = |netns| std::iter::from_fn(|| charge(netns)).take(1000).count();
        assert_eq!([taken(2), taken(3), taken(4), taken(5)], [30, 30, 20, 0]);
        assert_eq!(shares.used(), 80);
        assert_eq!(shares.largest().map(|(_, used)| used), Some(30));
        assert_eq!(taken(FIRST), 1000);
        assert_eq!(shares.used(), 80);
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let (cpus, shares) = (Cpus::new(1), shares());
        let limits = Limits::new(100, 10, 0);
        let charge = |netns| shares.charge(&cpus.pin(0), netns, hash(netns), limits);
        let held: Vec<Share> = std::iter::from_fn(|| charge(7)).collect();
        assert_eq!((held.len(), shares.used_by(7, hash(7))), (10, Some(10)));
        assert!(shares.is_pressed(held[0], limits) && shares.is_any_pressed(limits));
        held[..5].iter().for_each(|share| shares.give_back(*share));
        assert!(!shares.is_pressed(held[0], limits) && !shares.is_any_pressed(limits));
        assert_eq!(std::iter::from_fn(|| charge(7)).count(), 5);
        shares.give_back(Share::NONE);
        assert_eq!(shares.used(), 10);
    }

    #[test]
    fn namespaces_beyond_the_slots_share_one_and_no_count_is_lost() {
        let (cpus, shares) = (Cpus::new(1), shares());
        let limits = Limits { each: 2, all: u32::MAX };
        // All of one set.
        let charge = |netns| shares.charge(&cpus.pin(0), netns, 5, limits);
        let own: Vec<_> = (10..10 + WAYS as u32).map(&charge).collect();
        assert!(own.iter().all(Option::is_some));
        let more: Vec<_> = (100..105).map(charge).collect();
        assert_eq!(more.iter().flatten().count(), 2, "they share one limit");
        let shared = more.iter().flatten().next().expect("there is one");
        assert_eq!(shared.slot(), Some(SHARED));
        // A slot of which nothing is used any more is another's.
        own[3].iter().for_each(|share| shares.give_back(*share));
        assert!(charge(200).is_some_and(|share| share == own[3].expect("it had one")));
        more.iter().chain(&own).flatten().for_each(|share| shares.give_back(*share));
        assert_eq!((shares.used(), shares.largest()), (0, None));
    }

    #[test]
    fn shares_and_their_numbers_are_one_to_one() {
        for slot in 0..SLOTS {
            let share = Share::of_slot(slot);
            assert!(share.number() < 1 << Share::BITS);
            assert_eq!(Share::from_number(share.number()), share);
            assert_eq!(share.slot(), Some(slot));
        }
        assert_eq!((Share::NONE.number(), Share::NONE.slot()), (0, None));
    }

    #[test]
    fn no_limit_is_zero_or_beyond_the_table() {
        assert_eq!(Limits::new(16, 1, 100), Limits { each: 1, all: 1 });
        assert_eq!(Limits::new(1 << 24, 100, 0), Limits { each: 1 << 24, all: 1 << 24 });
        assert_eq!(Limits::new(1000, 90, 50), Limits { each: 500, all: 500 });
    }

    #[test]
    fn concurrent_charges_stay_within_the_limit_and_come_back() {
        let (cpus, shares) = (Cpus::new(4), shares());
        let limits = Limits { each: 50, all: 120 };
        std::thread::scope(|scope| {
            for cpu in 0..4 {
                let (cpus, shares) = (&cpus, &shares);
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for round in 0..20_000u32 {
                        let netns = 2 + (round * 7 + cpu as u32) % 20;
                        let set = u64::from(netns % 2);
                        held.extend(shares.charge(&cpus.pin(cpu), netns, set, limits));
                        assert!(shares.used() <= limits.all);
                        assert!(shares.largest().is_none_or(|(_, used)| used <= limits.each));
                        if round % 3 == 0 || held.len() > 40 {
                            held.drain(..held.len() / 2).for_each(|one| shares.give_back(one));
                        }
                    }
                    held.iter().for_each(|share| shares.give_back(*share));
                });
            }
        });
        assert_eq!((shares.used(), shares.largest()), (0, None));
        assert!(shares.slots.iter().all(|slot| used_of(slot.0.load(Relaxed)) == 0));
    }
}
