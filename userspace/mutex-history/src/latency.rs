// SPDX-License-Identifier: MIT OR Apache-2.0

//! Distributions of latency that can be added up, so that their percentiles stay what they are.

use std::collections::BTreeMap;

use mutex_core::latency::OCTAVES;
use mutex_core::latency::Place;
use mutex_core::latency::STEPS;
use mutex_stats::LatencyBuckets;

/// How many samples fell into each step of the kernel's histogram, see `include/mutex.h`. Percentiles
/// cannot be added up; these can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency(BTreeMap<u8, u64>);

impl Latency {
    /// What a block of an image says.
    pub(crate) fn add_buckets(&mut self, buckets: &LatencyBuckets) {
        for (step, &samples) in buckets.samples.iter().enumerate() {
            let place = buckets.octave as usize * STEPS + step;
            if place < OCTAVES * STEPS && samples > 0 {
                self.put(u8::try_from(place).unwrap_or(u8::MAX), samples);
            }
        }
    }

    fn put(&mut self, place: u8, samples: u64) {
        let sum = self.0.entry(place).or_default();
        *sum = sum.saturating_add(samples);
    }

    /// Adds other samples.
    pub fn add(&mut self, other: &Latency) {
        other.0.iter().for_each(|(&place, &samples)| self.put(place, samples));
    }

    /// What came since `before`; `None` if a count went back.
    pub(crate) fn since(&self, before: &Latency) -> Option<Latency> {
        if before.0.keys().any(|place| !self.0.contains_key(place)) {
            return None;
        }
        let mut came = BTreeMap::new();
        for (&place, &samples) in &self.0 {
            let more = samples.checked_sub(before.0.get(&place).copied().unwrap_or(0))?;
            if more > 0 {
                came.insert(place, more);
            }
        }
        Some(Latency(came))
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.0.values().fold(0, |sum, &samples| sum.saturating_add(samples))
    }

    /// The latency that so many of 100 samples do not exceed, in nanoseconds, within 6 %; `None` where
    /// there is no sample.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let rank = (u128::from(self.samples()) * u128::from(percent)).div_ceil(100).max(1);
        let mut below = 0u128;
        let found = self.0.iter().find(|(_, samples)| {
            below += u128::from(**samples);
            below >= rank
        });
        found.map(|(&place, _)| {
            let (octave, step) = (usize::from(place) / STEPS, usize::from(place) % STEPS);
            let small = |number| u8::try_from(number).unwrap_or(u8::MAX);
            Place { octave: small(octave), step: small(step) }.nanoseconds()
        })
    }

    /// For the database: a byte of place and a count, seven bits a byte, the lowest first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (&place, &samples) in &self.0 {
            bytes.push(place);
            let mut rest = samples;
            while rest >= 0x80 {
                bytes.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap_or(0));
        }
        bytes
    }

    /// `None` for bytes that are none of [`Latency::to_bytes`].
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut latency = Latency::default();
        let mut bytes = bytes.iter();
        while let Some(&place) = bytes.next() {
            let (mut samples, mut shift) = (0u64, 0);
            loop {
                let byte = *bytes.next()?;
                samples |= u64::from(byte & 0x7f).checked_shl(shift)?;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            latency.put(place, samples);
        }
        Some(latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(octave: u32, step: usize, samples: u64) -> Latency {
        let mut latency = Latency::default();
        let mut buckets = LatencyBuckets { octave, ..LatencyBuckets::default() };
        buckets.samples[step] = samples;
        latency.add_buckets(&buckets);
        latency
    }

    #[test]
    fn percentiles_are_of_all_samples_together() {
        let mut both = of(0, 0, 98);
        both.add(&of(10, 3, 2));
        assert_eq!(both.samples(), 100);
        let [low, high] = [Place { octave: 0, step: 0 }, Place { octave: 10, step: 3 }];
        assert_eq!(both.percentile(50), Some(low.nanoseconds()));
        assert_eq!(both.percentile(98), Some(low.nanoseconds()));
        assert_eq!(both.percentile(99), Some(high.nanoseconds()));
        assert_eq!(both.since(&of(0, 0, 98)), Some(of(10, 3, 2)));
        assert_eq!(both.since(&of(0, 0, 99)), None);
        assert_eq!(both.since(&of(4, 0, 1)), None);
        assert_eq!(Latency::default().percentile(50), None);
        assert_eq!(of(26, 0, 1).samples(), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(steps in proptest::collection::btree_map(0..208u8, 1..u64::MAX, 0..9)) {
            let latency = Latency(steps);
            prop_assert_eq!(Latency::from_bytes(&latency.to_bytes()), Some(latency));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Latency::from_bytes(&bytes);
        }
    }
}
