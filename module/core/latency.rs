// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Latency: its unit, and its histogram.
//!
//! A histogram is log-linear: octaves of eight steps of equal width. A connection has only the
//! octaves that it needs, in a list, from a pool that all connections share: a round trip rarely
//! wanders over more than two or three of them.

use core::ops::Deref;

use crate::abi::*;
use crate::arena::Arena;
use crate::arena::Linked;
use crate::counters::Counter;
use crate::sync::atomic::AtomicU16;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::Ordering::Release;

/// Steps of an octave.
pub const STEPS: usize = MUTEX_LATENCY_STEPS as usize;

/// Octaves of a histogram.
pub const OCTAVES: usize = MUTEX_LATENCY_OCTAVES as usize;

/// A span of time in sixteenths of a microsecond: TCP's microseconds are whole, and 32 bits last
/// for 268 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u32);

impl Span {
    /// Units of a microsecond.
    const MICROSECOND: u32 = 16;

    /// From nanoseconds; what is too long becomes the longest.
    pub fn from_nanoseconds(nanoseconds: u64) -> Self {
        let units = nanoseconds.saturating_mul(2) / 125;
        Span(units.min(u32::MAX.into()) as u32)
    }

    /// From microseconds; what is too long becomes the longest.
    pub fn from_microseconds(microseconds: u32) -> Self {
        Span(microseconds.saturating_mul(Self::MICROSECOND))
    }

    /// In nanoseconds, rounded down.
    #[inline]
    pub fn nanoseconds(self) -> u64 {
        u64::from(self.0) * 125 / 2
    }
}

/// A step of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 0 to [`OCTAVES`] - 1.
    pub octave: u8,
    /// 0 to [`STEPS`] - 1.
    pub step: u8,
}

impl Place {
    /// Where a latency belongs.
    #[inline]
    pub fn of(span: Span) -> Self {
        let units = span.0.max(Span::MICROSECOND);
        // The position of the highest bit, less that of a microsecond.
        let octave = 27 - units.leading_zeros();
        if octave >= OCTAVES as u32 {
            return Place { octave: OCTAVES as u8 - 1, step: STEPS as u8 - 1 };
        }
        Place { octave: octave as u8, step: ((units >> (octave + 1)) & 7) as u8 }
    }

    /// The latency that stands for the step, in nanoseconds: the harmonic mean of its ends a and b,
    /// which is within (b - a) / (b + a), at most 1 / 17, of every value between them.
    #[inline]
    pub fn nanoseconds(self) -> u64 {
        // In eighths of the octave's first value, a = 8 + step and b = a + 1.
        let a = 8 + u64::from(self.step);
        let octave = 1000u64 << self.octave.min(OCTAVES as u8 - 1);
        octave * a * (a + 1) / (4 * (2 * a + 1))
    }
}

/// A whole histogram, gathered for a reader: room to be used again and again.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    octaves: [[u64; STEPS]; OCTAVES],
    /// A bit for each octave that has something to say; what the others hold is of before.
    used: u32,
}

impl Histogram {
    /// Forgets what it holds.
    #[inline]
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// The counts of an octave, to be added to.
    #[inline]
    fn octave(&mut self, octave: u32) -> Option<&mut [u64; STEPS]> {
        let counts = self.octaves.get_mut(octave as usize)?;
        let bit = 1 << octave;
        if self.used & bit == 0 {
            self.used |= bit;
            *counts = [0; STEPS];
        }
        Some(counts)
    }

    /// Octaves that have samples, from the shortest, with how many each step has.
    #[inline]
    pub fn octaves(&self) -> impl Iterator<Item = (u8, &[u64; STEPS])> {
        let mut left = self.used;
        core::iter::from_fn(move || {
            let octave = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            Some((octave as u8, self.octaves.get(octave as usize)?))
        })
    }

    /// Its samples.
    #[inline]
    pub fn samples(&self) -> u64 {
        let mut samples = 0u64;
        for (_, counts) in self.octaves() {
            samples = counts.iter().fold(samples, |sum, count| sum.wrapping_add(*count));
        }
        samples
    }

    /// Shows the steps that have samples, from the shortest, with how many.
    #[inline]
    pub fn for_each_place(&self, mut show: impl FnMut(Place, u64)) {
        for (octave, counts) in self.octaves() {
            for (count, step) in counts.iter().zip(0..) {
                if *count != 0 {
                    show(Place { octave, step }, *count);
                }
            }
        }
    }

    /// The latencies in nanoseconds that so many percent of the samples do not exceed (nearest
    /// rank), within 6 %; 0 if there is no sample.
    pub fn percentiles<const N: usize>(&self, percents: [u64; N]) -> [u64; N] {
        let samples = self.samples();
        let ranks = percents.map(|percent| samples.saturating_mul(percent).div_ceil(100).max(1));
        let mut found = [0; N];
        let mut seen = 0u64;
        self.for_each_place(|place, count| {
            let before = seen;
            seen = seen.wrapping_add(count);
            for (found, rank) in found.iter_mut().zip(ranks) {
                if before < rank && rank <= seen {
                    *found = place.nanoseconds();
                }
            }
        });
        found
    }
}

/// One octave of a connection's or an fd's histogram.
///
/// Counts have 16 bits. Those of an octave that needs more go on in a second record, which holds the
/// higher 16 bits of each.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Octave {
    /// The number of the next plus one, and, while it is somebody's, [`Part`] above [`PART_SHIFT`].
    link: AtomicU32,
    counts: [AtomicU16; STEPS],
}

/// Which octave a record holds, times two; plus one if it is the higher bits.
type Part = u32;

/// Where the part begins in [`Octave::link`].
const PART_SHIFT: u32 = 26;

/// Octaves that a pool may hold, so that their numbers fit a link.
pub const POOL_MAX: usize = (1 << PART_SHIFT) - 2;

/// Octaves in a pool for so many connections: as many, and some for those that need more.
pub const fn pool_for(connections: usize) -> usize {
    let octaves = connections + connections / 8 + connections / 16;
    if octaves > POOL_MAX {
        POOL_MAX
    } else {
        octaves
    }
}

impl Linked for Octave {
    fn next(&self) -> &AtomicU32 {
        &self.link
    }
}

impl Octave {
    #[inline]
    fn part(&self) -> Part {
        self.link.load(Acquire) >> PART_SHIFT
    }

    #[inline]
    fn next_number(&self) -> u32 {
        self.link.load(Acquire) & ((1 << PART_SHIFT) - 1)
    }

    fn get(&self, step: u8) -> u32 {
        self.counts.get(usize::from(step)).map_or(0, |count| count.load(Relaxed).into())
    }

    /// The caller is the only one who counts here.
    fn set(&self, step: u8, value: u32) {
        if let Some(count) = self.counts.get(usize::from(step)) {
            count.store(value as u16, Relaxed);
        }
    }
}

/// The octaves of all connections and fds.
#[derive(Debug)]
pub struct Pool<A>(Arena<A>);

impl<A: Deref<Target = [Octave]>> Pool<A> {
    /// All of `octaves` are free; they number at most [`POOL_MAX`].
    pub fn new(octaves: A) -> Self {
        Pool(Arena::new(octaves))
    }

    /// Counts samples in the histogram whose first record's number plus one is in `head`.
    /// The caller is the only one who does so with this one, and readers know that it changes.
    /// False if there was no room.
    pub(crate) fn count(&self, head: &AtomicU32, place: Place, samples: u32) -> bool {
        let part = Part::from(place.octave) * 2;
        let Some(low) = self.obtain(head, part) else {
            return false;
        };
        let sum = low.get(place.step).saturating_add(samples);
        if sum > u16::MAX.into() {
            let Some(high) = self.obtain(head, part + 1) else {
                return false;
            };
            let carried = high.get(place.step) + (sum >> 16);
            if carried > u16::MAX.into() {
                return false;
            }
            high.set(place.step, carried);
        }
        low.set(place.step, sum);
        true
    }

    /// The record of a part in the list at `head`, put there if it is not.
    fn obtain(&self, head: &AtomicU32, part: Part) -> Option<&Octave> {
        let first = head.load(Relaxed);
        if let Some(octave) = self.list(first).find(|octave| octave.part() == part) {
            return Some(octave);
        }
        let number = self.0.take()?;
        let octave = self.0.get(number)?;
        for count in &octave.counts {
            count.store(0, Relaxed);
        }
        octave.link.store(first | (part << PART_SHIFT), Release);
        head.store(number + 1, Release);
        Some(octave)
    }

    /// The list that begins with the number `first` less one.
    fn list(&self, first: u32) -> impl Iterator<Item = &Octave> {
        let mut next = first;
        // No list is longer; one that is being taken apart must not lead a reader in circles.
        (0..2 * OCTAVES).map_while(move |_| {
            let octave = self.0.get(next.checked_sub(1)?)?;
            next = octave.next_number();
            Some(octave)
        })
    }

    /// Gathers the histogram at `head`, in the place of what `histogram` was: it is too large to be
    /// handed about on a kernel's stack.
    pub(crate) fn gather(&self, head: &AtomicU32, histogram: &mut Histogram) {
        histogram.clear();
        for octave in self.list(head.load(Acquire)) {
            let part = octave.part();
            let Some(counts) = histogram.octave(part / 2) else {
                continue;
            };
            for (sum, count) in counts.iter_mut().zip(&octave.counts) {
                let count = u64::from(count.load(Relaxed));
                *sum = sum.wrapping_add(if part & 1 == 0 { count } else { count << 16 });
            }
        }
    }

    /// Gives back the histogram at `head`, which nobody counts in or reads any more.
    pub(crate) fn give_back(&self, head: &AtomicU32) {
        let mut next = head.swap(0, Relaxed);
        for _ in 0..2 * OCTAVES {
            let Some(number) = next.checked_sub(1) else {
                return;
            };
            let Some(octave) = self.0.get(number) else {
                return;
            };
            next = octave.next_number();
            self.0.give_back(number);
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.0.records())
    }

    /// How many records are somebody's.
    pub fn used(&self) -> u32 {
        self.0.used()
    }
}

/// All latency that one CPU saw.
#[derive(Debug, Default)]
pub struct LatencyCounter {
    counts: [[Counter; STEPS]; OCTAVES],
    /// Nanoseconds of all samples together.
    sum: Counter,
    last: AtomicU32,
    /// One more than the shortest, so that 0 is none.
    min: AtomicU32,
    max: AtomicU32,
    /// Samples that found no room in their connection's histogram.
    unplaced: Counter,
}

/// The sum of what CPUs saw, without the histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencySum {
    /// Samples.
    pub samples: u64,
    /// Nanoseconds of all samples together.
    pub sum: u64,
    /// One CPU's last.
    pub last: u64,
    /// The shortest, 0 if there is none.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

impl LatencyCounter {
    /// Counts a sample.
    pub(crate) fn add(&self, span: Span, placed: bool) {
        let place = Place::of(span);
        let steps = self.counts.get(usize::from(place.octave));
        if let Some(counter) = steps.and_then(|steps| steps.get(usize::from(place.step))) {
            counter.add(1);
        }
        self.sum.add(span.nanoseconds());
        self.last.store(span.0, Relaxed);
        self.max.store(self.max.load(Relaxed).max(span.0), Relaxed);
        let min = self.min.load(Relaxed).wrapping_sub(1).min(span.0);
        self.min.store(min.wrapping_add(1), Relaxed);
        if !placed {
            self.unplaced.add(1);
        }
    }

    /// Samples that found no room in their connection's histogram.
    pub fn unplaced(&self) -> u64 {
        self.unplaced.get()
    }

    /// Adds what it has to a histogram.
    pub fn add_to_histogram(&self, histogram: &mut Histogram) {
        for (octave, counts) in (0..).zip(&self.counts) {
            for (sum, count) in histogram.octave(octave).into_iter().flatten().zip(counts) {
                *sum = sum.wrapping_add(count.get());
            }
        }
    }

    /// Adds what it has to a sum.
    pub fn add_to(&self, sum: &mut LatencySum) {
        let counts = self.counts.iter().flatten();
        let samples = counts.fold(0u64, |sum, count| sum.wrapping_add(count.get()));
        if samples == 0 {
            return;
        }
        sum.samples = sum.samples.wrapping_add(samples);
        sum.sum = sum.sum.wrapping_add(self.sum.get());
        sum.last = Span(self.last.load(Relaxed)).nanoseconds();
        let min = Span(self.min.load(Relaxed).saturating_sub(1)).nanoseconds();
        sum.min = if sum.min == 0 { min } else { sum.min.min(min) };
        sum.max = sum.max.max(Span(self.max.load(Relaxed)).nanoseconds());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;

    proptest! {
        #[test]
        fn what_stands_for_a_step_is_within_six_percent(nanoseconds in 1_000u64..67_000_000_000) {
            let stands_for = Place::of(Span::from_nanoseconds(nanoseconds)).nanoseconds();
            let off = stands_for.abs_diff(nanoseconds);
            // The unit of a span rounds down by up to 62 ns.
            prop_assert!(off * 100 <= nanoseconds * 6 + 6300, "{nanoseconds} -> {stands_for}");
        }

        #[test]
        fn a_percentile_is_within_six_percent_of_the_sample_of_that_rank(
            mut samples in proptest::collection::vec(20_000u64..40_000_000_000, 1..300),
            percent in 1u64..=100,
        ) {
            let pool = Pool::new((0..32).map(|_| Octave::default()).collect::<Vec<_>>());
            let head = AtomicU32::new(0);
            for sample in &samples {
                prop_assert!(pool.count(&head, Place::of(Span::from_nanoseconds(*sample)), 1));
            }
            samples.sort_unstable();
            let rank = (samples.len() * percent as usize).div_ceil(100).max(1);
            let exact = samples[rank - 1];
            let histogram = gathered(&pool, &head);
            prop_assert_eq!(histogram.samples(), samples.len() as u64);
            let [found] = histogram.percentiles([percent]);
            prop_assert!(found.abs_diff(exact) * 100 <= exact * 6 + 6300, "{found} for {exact}");
            pool.give_back(&head);
            prop_assert_eq!(pool.used(), 0);
        }
    }

    fn gathered(pool: &Pool<Vec<Octave>>, head: &AtomicU32) -> Histogram {
        let mut histogram = Histogram::default();
        pool.gather(head, &mut histogram);
        histogram
    }

    fn at(microseconds: u32) -> Place {
        Place::of(Span::from_microseconds(microseconds))
    }

    #[test]
    fn microseconds_are_exact() {
        for microseconds in [0, 1, 7, 999, 1_000_000] {
            let span = Span::from_microseconds(microseconds);
            assert_eq!(span.nanoseconds(), u64::from(microseconds) * 1000);
            assert_eq!(Span::from_nanoseconds(span.nanoseconds()), span);
        }
    }

    #[test]
    fn counts_go_on_beyond_sixteen_bits() {
        let pool = Pool::new(vec![Octave::default(), Octave::default()]);
        let head = AtomicU32::new(0);
        for _ in 0..200_000 {
            assert!(pool.count(&head, at(100), 1));
        }
        assert!(pool.count(&head, at(127), 1_000_000));
        assert_eq!((gathered(&pool, &head).samples(), pool.used()), (1_200_000, 2));
    }

    #[test]
    fn an_empty_pool_refuses() {
        let pool = Pool::new(vec![Octave::default()]);
        let head = AtomicU32::new(0);
        assert!(pool.count(&head, at(100), 1));
        assert!(pool.count(&head, at(101), 1));
        assert!(!pool.count(&head, at(1000), 1));
        assert_eq!(gathered(&pool, &head).samples(), 2);
    }

    #[test]
    fn the_sum_of_cpus_has_the_extremes() {
        let cpus =
            [LatencyCounter::default(), LatencyCounter::default(), LatencyCounter::default()];
        cpus[0].add(Span::from_microseconds(50), true);
        cpus[2].add(Span::from_microseconds(10), false);
        let mut sum = LatencySum::default();
        cpus.iter().for_each(|cpu| cpu.add_to(&mut sum));
        assert_eq!((sum.min, sum.max, sum.sum), (10_000, 50_000, 60_000));
        assert_eq!(sum.samples, 2);
    }
}
