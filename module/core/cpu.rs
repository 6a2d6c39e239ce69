// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What each CPU has for itself.

use core::array;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::counters::Counter;
use crate::counters::TotalsCounter;
use crate::counters::UntrackedCounter;
use crate::drops;
use crate::key::Key;
use crate::latency::LatencyCounter;
use crate::quality::Fault;
use crate::quality::Retransmission;

/// Proof that nothing else runs on this CPU until it is dropped but hard interrupts, which never
/// come here: bottom halves and preemption are off.
///
/// Spinning on another CPU's lock is short and writing this CPU's [`Cpu`] is exclusive only while
/// that holds.
pub trait Pinned {
    /// This CPU's own part.
    fn cpu(&self) -> &Cpu;

    /// Has the cache line of `what` brought to this CPU while it goes on.
    #[inline(always)]
    fn prefetch<T>(&self, _what: &T) {}
}

/// One CPU's counters and look-up cache. Written by its CPU only, read by all.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Cpu {
    /// Every packet, kept independently of what the connections count.
    pub totals: TotalsCounter,
    /// Packets that belong to no connection.
    pub untracked: UntrackedCounter,
    /// Connections opened.
    pub opened: Counter,
    /// Connections ended.
    pub closed: Counter,
    /// Fds seen for the first time.
    pub fds_opened: Counter,
    /// Fds that came to have an open connection.
    pub fds_activated: Counter,
    /// Fds that came to have none.
    pub fds_deactivated: Counter,
    /// Connections whose fd found no room.
    pub fds_untracked: Counter,
    /// Packets whose connection the cache knew.
    pub cache_hits: Counter,
    /// Packets whose connection it did not know.
    pub cache_misses: Counter,
    /// Connections that were ended early to make room.
    pub early: Counter,
    /// All latency.
    pub latency: LatencyCounter,
    /// All retransmissions.
    pub retransmitted: RetransmissionCounter,
    /// All faults, in the order of [`Fault`].
    pub faults: [Counter; Fault::COUNT],
    /// All drops.
    pub drops: DropCounter,
    /// The last connections that passed here.
    pub(crate) cache: Cache,
}

/// Retransmissions that one CPU saw.
#[derive(Debug, Default)]
pub struct RetransmissionCounter {
    /// Segments.
    pub packets: Counter,
    /// Payload in them.
    pub bytes: Counter,
    /// Segments that could not be sent; not among the above.
    pub failed: Counter,
}

impl RetransmissionCounter {
    pub(crate) fn add(&self, retransmission: &Retransmission) {
        if retransmission.failed {
            self.failed.add(retransmission.packets.into());
        } else {
            self.packets.add(retransmission.packets.into());
            self.bytes.add(retransmission.bytes.into());
        }
    }
}

/// Drops that one CPU saw: their sums, and by the kernel's reason.
#[derive(Debug)]
pub struct DropCounter {
    /// All of them.
    pub all: Counter,
    /// Of these the discards. Added to after `all`, so read it before.
    pub discards: Counter,
    reasons: [Counter; DropCounter::REASONS],
    /// The same as `discards` for each reason.
    discards_of: [Counter; DropCounter::REASONS],
}

impl Default for DropCounter {
    fn default() -> Self {
        let reasons = || array::from_fn(|_| Counter::default());
        DropCounter {
            all: Counter::default(),
            discards: Counter::default(),
            reasons: reasons(),
            discards_of: reasons(),
        }
    }
}

impl DropCounter {
    /// Reasons that are told apart: the kernel's own, of which it has half as many, and as the last
    /// one all of its subsystems.
    pub const REASONS: usize = drops::REASONS;

    pub(crate) fn add(&self, reason: u32, packets: u32, discard: bool) {
        let reason = (reason as usize).min(Self::REASONS - 1);
        let add = |all: &Counter, reasons: &[Counter]| {
            all.add(packets.into());
            if let Some(count) = reasons.get(reason) {
                count.add(packets.into());
            }
        };
        add(&self.all, &self.reasons);
        if discard {
            add(&self.discards, &self.discards_of);
        }
    }

    /// The packets dropped for that reason, and of these the discards.
    pub fn get(&self, reason: u32) -> (u64, u64) {
        let of = |counts: &[Counter]| counts.get(reason as usize).map_or(0, Counter::get);
        let discards = of(&self.discards_of);
        (of(&self.reasons), discards)
    }
}

/// Sets of a CPU's cache. Larger ones would take from the first-level cache what the records need.
const SETS: usize = 256;

/// The last connections of a CPU, so that most packets need neither hash nor index.
///
/// Two entries a set, the newer one first. An entry is 32 bits that depend on the key and the record's
/// number plus one; 0 is empty. The record itself tells whether it is the one.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Cache([[AtomicU64; 2]; SETS]);

impl Default for Cache {
    fn default() -> Self {
        Cache([const { [AtomicU64::new(0), AtomicU64::new(0)] }; SETS])
    }
}

/// The place in a CPU's cache for some keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    set: &'a [AtomicU64; 2],
    tag: u64,
}

impl Cache {
    #[inline(always)]
    pub(crate) fn place(&self, key: &Key) -> Option<Place<'_>> {
        // The words that tell connections of one host apart: an IPv4 address is all in the second word of
        // its two. Two odd constants with well-mixed bits, the golden ratio's and the square root of 3's.
        let [_, local, _, remote, ports, protocol] = key.0;
        let mixed = (ports ^ remote).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (protocol ^ local).wrapping_mul(0xbb67_ae85_84ca_a73b);
        let set = self.0.get((mixed >> 56) as usize)?;
        Some(Place { set, tag: (mixed << 8) & 0xffff_ffff_0000_0000 })
    }
}

impl Place<'_> {
    /// The record that was remembered under that tag.
    #[inline(always)]
    pub(crate) fn record(self) -> Option<u32> {
        let [newer, older] = self.set;
        let (newer, older) = (newer.load(Relaxed), older.load(Relaxed));
        let entry = if (newer ^ self.tag) >> 32 == 0 { newer } else { older };
        if (entry ^ self.tag) >> 32 == 0 {
            (entry as u32).checked_sub(1)
        } else {
            None
        }
    }

    #[inline(always)]
    pub(crate) fn remember(self, record: u32) {
        let [newer, older] = self.set;
        older.store(newer.load(Relaxed), Relaxed);
        newer.store(self.tag | (u64::from(record) + 1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;

    #[test]
    fn a_set_remembers_the_last_two() {
        let cache = Cache::default();
        let place = |ports: u64| cache.place(&Key([0, 1, 0, 2, ports, 17])).expect("there is one");
        let same_set = |ports: &u64| core::ptr::eq(place(*ports).set, place(0).set);
        let ports: Vec<u64> = (0..100_000).filter(same_set).take(3).collect();
        assert!(ports.iter().all(|ports| place(*ports).record().is_none()));
        for (record, ports) in (0..).zip(&ports) {
            place(*ports).remember(record);
        }
        let found: Vec<_> = ports.iter().map(|ports| place(*ports).record()).collect();
        assert_eq!(found, [None, Some(1), Some(2)]);
    }
}
