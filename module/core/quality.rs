// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! How well a connection or an fd fares: latency, retransmissions, errors, drops, peaks.

use core::ops::Deref;

use crate::abi::*;
use crate::cpu::Pinned;
use crate::latency::Histogram;
use crate::latency::Octave;
use crate::latency::Place;
use crate::latency::Pool;
use crate::latency::Span;
use crate::rate::Rates;
use crate::seqlock::SeqLock;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::AcqRel;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::threshold::Armed;

/// What went wrong, other than a drop or a retransmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// A TCP reset or SCTP abort passed.
    Reset = 0,
    /// An ICMP error about one of its packets arrived.
    Icmp = 1,
    /// A packet with a bad checksum arrived.
    Checksum = 2,
    /// A connect failed.
    Connect = 3,
}

impl Fault {
    /// How many there are.
    pub const COUNT: usize = 4;
}

/// Segments that TCP sent, or tried to send, again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// Segments.
    pub packets: u32,
    /// Payload in them.
    pub bytes: u32,
    /// Whether they could not be sent.
    pub failed: bool,
}

/// A new sample of latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The sample.
    pub span: Span,
    /// The smoothed average, where the one who measured keeps one.
    pub average: Option<Span>,
}

/// Reasons of drops that are told apart.
const DROPS: usize = MUTEX_CONNECTION_DROPS as usize;

/// The record. All changes are atomic, and none is lost.
///
/// Samples of latency change several words, so `sequence` is around them.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Quality {
    samples: AtomicU64,
    retransmitted_bytes: AtomicU64,
    sequence: SeqLock,
    /// The first octave of the histogram.
    histogram: AtomicU32,
    last: AtomicU32,
    average: AtomicU32,
    min: AtomicU32,
    max: AtomicU32,
    retransmitted: AtomicU32,
    retransmissions_failed: AtomicU32,
    faults: [AtomicU32; Fault::COUNT],
    /// A reason's number plus one, 0 where there is none.
    drop_reasons: [AtomicU32; DROPS],
    drops: [AtomicU32; DROPS],
    /// Drops for other reasons.
    other_drops: AtomicU32,
    /// Of all drops: discards.
    discards: AtomicU32,
    // What the end of a window touches, side by side.
    peak_in: AtomicU64,
    peak_out: AtomicU64,
    pub(crate) window: Window,
    pub(crate) armed: Armed,
}

/// What happened since the second began that thresholds judge: every field counts in the current
/// window, and is taken by who closes it.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The second of the current window plus one.
    second: AtomicU32,
    /// Packets of each direction when it began, modulo 2^32: sent, received.
    packets: [AtomicU32; 2],
    retransmitted: AtomicU32,
    faults: AtomicU32,
    losses: AtomicU32,
}

/// A window that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) sent: u32,
    pub(crate) received: u32,
    pub(crate) retransmitted: u32,
    pub(crate) faults: u32,
    pub(crate) losses: u32,
}

impl Window {
    /// Closes the window if `second` is after it. `packets`: of each direction up to its end, sent and
    /// received. One caller gets it.
    pub(crate) fn close(&self, second: u32, packets: [u64; 2]) -> Option<Closed> {
        let current = self.second.load(Acquire);
        let next = second.wrapping_add(1);
        if current >= next || self.second.compare_exchange(current, next, AcqRel, Relaxed).is_err()
        {
            return None;
        }
        let [sent, received] = &self.packets;
        // Most are zero, and reading is cheaper than taking.
        let take = |count: &AtomicU32| match count.load(Relaxed) {
            0 => 0,
            _ => count.swap(0, Relaxed),
        };
        let since =
            |base: &AtomicU32, now: u64| (now as u32).wrapping_sub(base.swap(now as u32, Relaxed));
        Some(Closed {
            sent: since(sent, packets[0]),
            received: since(received, packets[1]),
            retransmitted: take(&self.retransmitted),
            faults: take(&self.faults),
            losses: take(&self.losses),
        })
    }

    fn reset(&self) {
        let all = [&self.second, &self.retransmitted, &self.faults, &self.losses];
        all.into_iter().chain(&self.packets).for_each(|word| word.store(0, Relaxed));
    }
}

/// Adds without going round: a count that is full stays so.
fn saturating_add(count: &AtomicU32, more: u32) {
    let _ = count.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_add(more)));
}

impl Quality {
    /// Starts anew. The caller is the only one who knows the record, and its histogram is empty.
    pub(crate) fn reset(&self) {
        for word in [&self.samples, &self.retransmitted_bytes, &self.peak_in, &self.peak_out] {
            word.store(0, Relaxed);
        }
        let words = [
            &self.last,
            &self.average,
            &self.min,
            &self.max,
            &self.retransmitted,
            &self.retransmissions_failed,
            &self.other_drops,
            &self.discards,
        ];
        let arrays = self.faults.iter().chain(&self.drop_reasons).chain(&self.drops);
        words.into_iter().chain(arrays).for_each(|word| word.store(0, Relaxed));
        self.window.reset();
        self.armed.reset();
    }

    /// Takes over what a connection had before it belonged to this fd. What comes to it at the same
    /// moment may be missing here.
    pub(crate) fn inherit<O: Deref<Target = [Octave]>>(
        &self,
        _pinned: &impl Pinned,
        pool: &Pool<O>,
        from: &Quality,
    ) {
        saturating_add(&self.retransmitted, from.retransmitted.load(Relaxed));
        saturating_add(&self.retransmissions_failed, from.retransmissions_failed.load(Relaxed));
        self.retransmitted_bytes.fetch_add(from.retransmitted_bytes.load(Relaxed), Relaxed);
        for (mine, theirs) in self.faults.iter().zip(&from.faults) {
            saturating_add(mine, theirs.load(Relaxed));
        }
        for drops in from.drop_counts() {
            if drops.packets != 0 {
                self.count_drops(drops.reason, drops.packets);
            }
        }
        saturating_add(&self.other_drops, from.other_drops.load(Relaxed));
        saturating_add(&self.discards, from.discards.load(Relaxed));
        saturating_add(&self.window.losses, from.losses());
        if from.samples.load(Relaxed) != 0 {
            self.inherit_latency(pool, from);
        }
    }

    #[inline(never)] // Only who has samples needs the room for a histogram.
    fn inherit_latency<O: Deref<Target = [Octave]>>(&self, pool: &Pool<O>, from: &Quality) {
        let mut histogram = Histogram::default();
        from.histogram(pool, &mut histogram);
        let samples = from.samples.load(Relaxed);
        let writing = self.sequence.write();
        let word = |word: &AtomicU32| word.load(Relaxed);
        let before = self.samples.load(Relaxed);
        if before == 0 {
            self.last.store(word(&from.last), Relaxed);
            self.average.store(word(&from.average), Relaxed);
            self.min.store(word(&from.min), Relaxed);
        }
        self.min.fetch_min(word(&from.min), Relaxed);
        self.max.fetch_max(word(&from.max), Relaxed);
        histogram.for_each_place(|place, count| {
            pool.count(&self.histogram, place, count.min(u32::MAX.into()) as u32);
        });
        self.samples.store(before.wrapping_add(samples), Relaxed);
        drop(writing);
    }

    /// Counts a sample, and returns the smoothed average with whether the histogram had room.
    pub(crate) fn sample<O: Deref<Target = [Octave]>>(
        &self,
        _pinned: &impl Pinned,
        pool: &Pool<O>,
        sample: &Sample,
    ) -> (Span, bool) {
        let writing = self.sequence.write();
        let samples = self.samples.load(Relaxed);
        let span = sample.span.0;
        let average = match (sample.average, samples) {
            (Some(average), _) => average.0,
            (None, 0) => span,
            (None, _) => {
                let average = i64::from(self.average.load(Relaxed));
                (average + (i64::from(span) - average) / 8) as u32
            }
        };
        self.average.store(average, Relaxed);
        self.last.store(span, Relaxed);
        if samples == 0 || span < self.min.load(Relaxed) {
            self.min.store(span, Relaxed);
        }
        if span > self.max.load(Relaxed) {
            self.max.store(span, Relaxed);
        }
        let placed = pool.count(&self.histogram, Place::of(sample.span), 1);
        self.samples.store(samples.wrapping_add(1), Relaxed);
        drop(writing);
        (Span(average), placed)
    }

    /// Counts a retransmission.
    pub(crate) fn retransmit(&self, retransmission: &Retransmission) {
        if retransmission.failed {
            saturating_add(&self.retransmissions_failed, retransmission.packets);
        } else {
            saturating_add(&self.retransmitted, retransmission.packets);
            self.retransmitted_bytes.fetch_add(retransmission.bytes.into(), Relaxed);
            saturating_add(&self.window.retransmitted, retransmission.packets);
        }
    }

    /// Counts a fault.
    pub(crate) fn fault(&self, fault: Fault) {
        if let Some(count) = self.faults.get(fault as usize) {
            saturating_add(count, 1);
        }
        saturating_add(&self.window.faults, 1);
    }

    /// Packets that were dropped, whatever the reason.
    pub(crate) fn dropped(&self) -> u64 {
        let counts = self.drops.iter().chain([&self.other_drops]);
        counts.map(|count| u64::from(count.load(Relaxed))).sum()
    }

    /// Counts dropped packets.
    pub(crate) fn drop_packets(&self, reason: u32, packets: u32, discard: bool) {
        self.count_drops(reason, packets);
        // After the drops, so that there are never more of them.
        saturating_add(if discard { &self.discards } else { &self.window.losses }, packets);
    }

    fn count_drops(&self, reason: u32, packets: u32) {
        let named = reason.saturating_add(1);
        for (slot, count) in self.drop_reasons.iter().zip(&self.drops) {
            let found = match slot.compare_exchange(0, named, Relaxed, Relaxed) {
                Ok(_) => named,
                Err(found) => found,
            };
            if found == named {
                return saturating_add(count, packets);
            }
        }
        saturating_add(&self.other_drops, packets);
    }

    /// Notes what a window had, if it is the most so far.
    pub(crate) fn peak(&self, sent: bool, bytes: u64) {
        let peak = if sent { &self.peak_out } else { &self.peak_in };
        if bytes > peak.load(Relaxed) {
            peak.fetch_max(bytes, Relaxed);
        }
    }

    /// Gives its histogram back. Nobody else knows the record any more.
    pub(crate) fn forget<O: Deref<Target = [Octave]>>(&self, pool: &Pool<O>) {
        pool.give_back(&self.histogram);
    }

    /// Gathers the histogram. Its owner is not collected meanwhile.
    pub(crate) fn histogram<O: Deref<Target = [Octave]>>(
        &self,
        pool: &Pool<O>,
        histogram: &mut Histogram,
    ) {
        self.sequence.read(|| pool.gather(&self.histogram, histogram));
    }

    /// The drops by reason.
    pub(crate) fn drop_counts(&self) -> [mutex_drop_count; DROPS] {
        core::array::from_fn(|i| match (self.drop_reasons.get(i), self.drops.get(i)) {
            (Some(reason), Some(packets)) => mutex_drop_count {
                reason: reason.load(Relaxed).saturating_sub(1),
                packets: packets.load(Relaxed),
            },
            _ => mutex_drop_count::default(),
        })
    }

    /// The drops that are discards, to be read before [`Quality::to_wire`].
    pub(crate) fn discards(&self) -> u64 {
        self.discards.load(Relaxed).into()
    }

    /// The drops that are losses.
    fn losses(&self) -> u32 {
        let discards = self.discards.load(Relaxed);
        let drops = self.drops.iter().chain([&self.other_drops]);
        let drops = drops.fold(0u32, |sum, count| sum.saturating_add(count.load(Relaxed)));
        drops.saturating_sub(discards)
    }

    /// The record for userspace. `histogram` is room for the way.
    pub(crate) fn to_wire<O: Deref<Target = [Octave]>>(
        &self,
        pool: &Pool<O>,
        rates: &Rates,
        histogram: &mut Histogram,
    ) -> mutex_quality {
        let faults: [u64; Fault::COUNT] = core::array::from_fn(|i| {
            self.faults.get(i).map_or(0, |count| count.load(Relaxed).into())
        });
        let [resets, icmp_errors, checksum_errors, failed_connects] = faults;
        let drops = self.drops.iter().chain([&self.other_drops]);
        let peak = |peak: &AtomicU64, now: u64| peak.load(Relaxed).max(now);
        mutex_quality {
            latency: match self.samples.load(Relaxed) {
                0 => mutex_latency::default(),
                _ => self.latency(pool, histogram),
            },
            retransmitted_packets: self.retransmitted.load(Relaxed).into(),
            retransmitted_bytes: self.retransmitted_bytes.load(Relaxed),
            retransmissions_failed: self.retransmissions_failed.load(Relaxed).into(),
            resets,
            icmp_errors,
            checksum_errors,
            failed_connects,
            drops: drops.fold(0, |sum: u64, count| sum.wrapping_add(count.load(Relaxed).into())),
            rate_in: rates.received,
            rate_out: rates.sent,
            peak_in: peak(&self.peak_in, rates.received),
            peak_out: peak(&self.peak_out, rates.sent),
        }
    }

    fn latency<O: Deref<Target = [Octave]>>(
        &self,
        pool: &Pool<O>,
        histogram: &mut Histogram,
    ) -> mutex_latency {
        let (samples, [last, average, min, max]) = self.sequence.read(|| {
            let spans = [&self.last, &self.average, &self.min, &self.max];
            let spans = spans.map(|word| Span(word.load(Relaxed)).nanoseconds());
            pool.gather(&self.histogram, histogram);
            (self.samples.load(Relaxed), spans)
        });
        // No percentile lies outside, however wide its step is.
        let [p50, p95, p99] =
            histogram.percentiles([50, 95, 99]).map(|value| value.clamp(min, max.max(min)));
        mutex_latency {
            samples,
            last_ns: last,
            average_ns: average,
            min_ns: min,
            max_ns: max,
            p50_ns: p50,
            p95_ns: p95,
            p99_ns: p99,
        }
    }
}
