// SPDX-License-Identifier: MIT OR Apache-2.0

//! The last values of something, and how they are spread.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::Histogram;
use super::Metric;
use crate::formats::Kind;
use crate::formats::Number;

/// How many samples are kept unless somebody says otherwise.
pub const HISTORY: usize = 1000;

/// The last samples, up to a number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    values: VecDeque<u64>,
    limit: usize,
}

impl Samples {
    /// Keeps so many.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Samples { values: VecDeque::new(), limit }
    }

    /// Adds one; the oldest goes if there is no room.
    pub fn add(&mut self, value: u64) {
        if self.values.len() >= self.limit && self.values.pop_front().is_none() {
            return;
        }
        self.values.push_back(value);
    }

    /// How they are spread; `None` without one.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(self.values.iter().copied().collect())
    }
}

/// How some values are spread. Exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// How many values.
    pub samples: u64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// Rounded down.
    pub average: u64,
    /// Half of the values are no larger.
    pub p50: u64,
    /// 95 of 100 values are no larger.
    pub p95: u64,
    /// 99 of 100 values are no larger.
    pub p99: u64,
}

impl Spread {
    /// `None` of nothing.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let (&min, &max) = (values.first()?, values.last()?);
        let sum: u128 = values.iter().copied().map(u128::from).sum();
        let average = u64::try_from(sum / values.len() as u128).unwrap_or(u64::MAX);
        Some(Spread {
            samples: values.len() as u64,
            min,
            max,
            average,
            p50: percentile(&values, 50)?,
            p95: percentile(&values, 95)?,
            p99: percentile(&values, 99)?,
        })
    }

    /// The names and values of all but the number of samples.
    #[must_use]
    pub fn statistics(&self) -> [(&'static str, u64); 6] {
        [
            ("min", self.min),
            ("average", self.average),
            ("p50", self.p50),
            ("p95", self.p95),
            ("p99", self.p99),
            ("max", self.max),
        ]
    }
}

/// The value at a percentile of `sorted` by nearest rank: of n values in order, the one in place
/// ceil(percent / 100 * n), counted from 1. It is always one of the values. `None` of nothing.
#[must_use]
pub fn percentile(sorted: &[u64], percent: u8) -> Option<u64> {
    let rank = (u128::from(percent) * sorted.len() as u128).div_ceil(100).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).or(sorted.last()).copied()
}

/// Upper bounds of buckets, in nanoseconds.
const BOUNDS: [u64; 15] = [
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// How long something took, each time: a histogram of all times, and the last ones exactly. For as many
/// threads as there are.
#[derive(Debug)]
pub(super) struct Durations(Mutex<Taken>);

#[derive(Clone, Debug)]
struct Taken {
    recent: Samples,
    /// By bucket, not cumulative; the last is of what is beyond all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum: u128,
}

impl Durations {
    pub(super) fn new(history: usize) -> Self {
        let buckets = [0; BOUNDS.len() + 1];
        Durations(Mutex::new(Taken { recent: Samples::new(history), buckets, sum: 0 }))
    }

    pub(super) fn add(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|bound| *bound < ns);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.recent.add(ns);
        taken.buckets[place] += 1;
        taken.sum += u128::from(ns);
    }

    fn copy(&self) -> Taken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The histogram as `NAME_seconds`, and how the last are spread as `NAME_recent_seconds`.
    pub(super) fn metrics(&self, names: [&'static str; 2], help: [&'static str; 2]) -> [Metric; 2] {
        let taken = self.copy();
        let recent = taken.recent.spread();
        let mut metric = Metric::new(names[1], Kind::Gauge, help[1]);
        for (statistic, ns) in recent.iter().flat_map(Spread::statistics) {
            metric = metric.sample(&[("statistic", statistic)], Number::Nanoseconds(ns));
        }
        let histogram = Metric::new(names[0], Kind::Histogram, help[0]);
        [histogram.histogram(&[], taken.histogram()), metric]
    }
}

impl Taken {
    #[expect(clippy::cast_precision_loss, reason = "seconds are floating-point numbers")]
    fn histogram(&self) -> Histogram {
        let mut count = 0;
        let mut buckets = Vec::new();
        for (bound, values) in BOUNDS.iter().zip(self.buckets) {
            count += values;
            buckets.push((*bound as f64 / 1e9, count));
        }
        count += self.buckets[BOUNDS.len()];
        Histogram { buckets, sum: self.sum as f64 / 1e9, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_those_of_the_textbook() {
        // The example of the method's description everywhere: 15, 20, 35, 40, 50.
        let values = [15, 20, 35, 40, 50];
        let at = |percent| percentile(&values, percent);
        assert_eq!([5, 30, 40, 50, 100].map(at), [15, 20, 20, 35, 50].map(Some));
        assert_eq!((at(0), percentile(&[], 50)), (Some(15), None));
        let hundred: Vec<u64> = (1..=100).collect();
        let spread = Spread::of(hundred).expect("there are some");
        assert_eq!((spread.p50, spread.p95, spread.p99, spread.average), (50, 95, 99, 50));
    }

    #[test]
    fn the_oldest_sample_goes() {
        let mut samples = Samples::new(3);
        for value in [100, 1, 2, 3] {
            samples.add(value);
        }
        let spread = samples.spread().expect("there are some");
        assert_eq!((spread.samples, spread.max), (3, 3));
        let mut none = Samples::new(0);
        none.add(1);
        assert_eq!(none.spread(), None);
    }

    #[test]
    fn a_duration_is_in_the_bucket_of_the_next_bound() {
        let durations = Durations::new(2);
        for ns in [0, 100_000, 100_001, 60_000_000_001] {
            durations.add(Duration::from_nanos(ns));
        }
        let histogram = durations.copy().histogram();
        assert_eq!(histogram.buckets[0], (0.0001, 2));
        assert_eq!(histogram.buckets[1], (0.0005, 3));
        assert_eq!((histogram.buckets[14], histogram.count), ((60.0, 3), 4));
        assert!((histogram.sum - 60.000_200_002).abs() < 1e-9);
        durations.add(Duration::MAX);
        assert_eq!(durations.copy().recent.spread().expect("two are kept").samples, 2);
    }

    proptest! {
        #[test]
        fn a_percentile_has_as_many_at_or_below_as_it_says(
            mut values in prop::collection::vec(0..50u64, 1..300),
            percent in 1..=100u8,
        ) {
            values.sort_unstable();
            let at = percentile(&values, percent).expect("there are some");
            prop_assert!(values.contains(&at));
            let wanted = values.len() * usize::from(percent);
            let no_larger = values.iter().filter(|value| **value <= at).count();
            let smaller = values.iter().filter(|value| **value < at).count();
            prop_assert!(no_larger * 100 >= wanted, "enough");
            prop_assert!(smaller * 100 < wanted, "and no more than needed");
        }

        #[test]
        fn the_samples_kept_are_the_last(values in prop::collection::vec(any::<u64>(), 0..50), limit in 0..20usize) {
            let mut samples = Samples::new(limit);
            for value in &values {
                samples.add(*value);
            }
            let last = values[values.len().saturating_sub(limit)..].to_vec();
            prop_assert_eq!(samples.spread(), Spread::of(last));
        }
    }
}
